
# ---------------------------------------------------------------------------------------------------- the dummy interface

# An interface that carries the address, for edgecores that refuse one that the host does not have. It comes up again at every
# boot, before edgecore.
make_interface() {
  command -v ip >/dev/null 2>&1 || die $EX_INTERFACE "the dummy interface needs the program ip; install iproute2 (or busybox's ip)"
  commands=$(interface_commands)
  {
    { has_interface || ip link add "$INTERFACE" type dummy; } && ip addr flush dev "$INTERFACE" &&
      ip addr add "$ADDRESS/$(prefix_length)" dev "$INTERFACE" && ip link set "$INTERFACE" up
  } 2>"$WORK/log" ||
    die $EX_INTERFACE "the interface $INTERFACE could not be made ($(sed -n '$p' "$WORK/log")); run this as root, on a kernel with dummy interfaces (modprobe dummy)"
  if has_systemd; then
    write_unit || die $EX_INTERFACE "$UNIT could not be written; run this as root"
    { systemctl daemon-reload && systemctl enable "$UNIT_NAME" >/dev/null 2>&1; } ||
      die $EX_INTERFACE "$UNIT_NAME could not be enabled; look at systemctl status $UNIT_NAME, and run this again"
  elif [ -d "${START_SCRIPT%/*}" ]; then
    { printf '#!/bin/sh\n%s\n' "$commands" >"$START_SCRIPT" && chmod 755 "$START_SCRIPT"; } ||
      die $EX_INTERFACE "$START_SCRIPT could not be written; run this as root"
  else
    say "note: this device has no systemd; have this run at every boot before edgecore: $(printf '%s' "$commands" | sed 's/$/;/' | tr '\n' ' ')"
  fi
}

interface_commands() {
  cat <<COMMANDS
ip link add $INTERFACE type dummy
ip addr add $ADDRESS/$(prefix_length) dev $INTERFACE
ip link set $INTERFACE up
COMMANDS
}

write_unit() {
  program=$(command -v ip)
  mkdir -p "${UNIT%/*}" && cat >"$UNIT" <<UNIT
[Unit]
Description=The interface that carries this node's unique IP
Before=edgecore.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-$program link add $INTERFACE type dummy
ExecStart=-$program addr add $ADDRESS/$(prefix_length) dev $INTERFACE
ExecStart=$program link set $INTERFACE up

[Install]
WantedBy=multi-user.target
UNIT
}

prefix_length() {
  case $ADDRESS in *:*) printf 128 ;; *) printf 32 ;; esac
}

has_interface() {
  ip link show "$INTERFACE" >/dev/null 2>&1
}

carries_address() {
  ip -o addr show dev "$INTERFACE" 2>/dev/null | grep -q -F " $ADDRESS/"
}

# Takes away what make_interface made, as far as it is there.
remove_interface() {
  if [ -e "$UNIT" ]; then
    systemctl disable "$UNIT_NAME" >/dev/null 2>&1 || :
    rm -f "$UNIT"
    systemctl daemon-reload || :
  fi
  rm -f "$START_SCRIPT"
  if has_interface; then
    ip link del "$INTERFACE" 2>/dev/null ||
      die $EX_INTERFACE "the interface $INTERFACE could not be removed; run this as root, or 'ip link del $INTERFACE'"
  fi
}
