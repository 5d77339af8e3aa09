
# ------------------------------------------------------------------------------------------ what this device remembers

# recorded KEY: node, server, address, sequence, interface, or step (asked: for another address,
# not yet set up; joining: keadm was started; joined; left).
recorded() {
  [ ! -r "$RECORD" ] || sed -n "s/^$1=//p" "$RECORD"
}

record() {
  {
    mkdir -p "${RECORD%/*}" && cat >"$RECORD.new" && mv -f "$RECORD.new" "$RECORD"
  } 2>/dev/null <<EOF || say "note: $RECORD cannot be written; this device will not remember its join"
node=$NODE_NAME
server=$SERVER
address=$ADDRESS
sequence=$SEQUENCE
interface=${DUMMY:+$INTERFACE}
step=$1
EOF
}

# --------------------------------------------------------------------------------------------------------- edgecore.yaml

# An awk program for one part of edgecore.yaml: the keys right under modules.edged. The same names stand elsewhere in the file
# too, so that the place is found by the indentation. With `wanted` it prints that key's value; else the file, with the keys of
# `changes` (KEY=VALUE KEY=VALUE) set. Every generation of the file has these keys there, absent, empty, quoted or filled in.
edged_program() {
  cat <<'AWK'
function depth_of(line) {
  match(line, /^ */)
  return RLENGTH
}
function key_of(line) {
  sub(/^ */, "", line)
  if (line !~ /^["']?[A-Za-z0-9_.-]+["']?[ ]*:([ ]|$)/) return ""
  sub(/[ ]*:.*/, "", line)
  gsub(/["']/, "", line)
  return line
}
function value_of(line) {
  sub(/^[^:]*:[ ]*/, "", line)
  if (line ~ /^"/) { sub(/^"/, "", line); sub(/".*/, "", line) }
  else if (line ~ /^'/) { sub(/^'/, "", line); sub(/'.*/, "", line) }
  else { sub(/^#.*/, "", line); sub(/[ ]+#.*/, "", line); sub(/[ ]+$/, "", line) }
  return line == "null" || line == "~" ? "" : line
}
function written(key, indent) {
  return sprintf("%" indent "s%s: %s", "", key, values[key] ~ /:/ ? "\"" values[key] "\"" : values[key])
}
function leave_edged(  number, indent) {
  in_edged = 0
  indent = key_depth < 0 ? edged_depth + 2 : key_depth
  for (number = 1; number <= count; number++)
    if (!(names[number] in done) && wanted == "") print written(names[number], indent) ending
}
BEGIN {
  total = split(changes, lines, " ")
  for (number = 1; number <= total; number++) {
    at = index(lines[number], "=")
    if (at < 2) continue
    names[++count] = substr(lines[number], 1, at - 1)
    values[names[count]] = substr(lines[number], at + 1)
  }
}
{
  line = $0
  ending = sub(/\r$/, "", line) ? "\r" : ""
  gsub(/\t/, " ", line)
}
line !~ /^ *(#|$)/ {
  depth = depth_of(line)
  key = key_of(line)
  if (in_edged && depth <= edged_depth) leave_edged()
  if (depth == 0) {
    in_modules = (key == "modules")
    module_depth = -1
  } else if (in_edged) {
    if (key_depth < 0) key_depth = depth
    if (depth == key_depth && wanted != "" && key == wanted) { print value_of(line); answered = 1; exit }
    if (depth == key_depth && key != "" && key in values) {
      $0 = written(key, depth) ending
      done[key] = 1
    }
  } else if (in_modules) {
    if (module_depth < 0) module_depth = depth
    if (depth == module_depth && key == "edged" && value_of(line) == "") {
      found = in_edged = 1
      edged_depth = depth
      key_depth = -1
    }
  }
}
wanted == "" { print }
END {
  if (in_edged && !answered) leave_edged()
  if (!found) exit 3
}
AWK
}

# setting KEY: its value under modules.edged; empty if there is none, or no edgecore.yaml.
setting() {
  [ -r "$CONFIG" ] || return 0
  awk -v wanted="$1" "$(edged_program)" "$CONFIG" 2>/dev/null || :
}

is_set_up() {
  [ -e "$CONFIG" ] || return 1
  [ -r "$CONFIG" ] || die $EX_EDIT "$CONFIG cannot be read; run this as root"
}

# write_edit FOLDER: puts a program edit.sh there that sets the address (and the interface's name) in edgecore.yaml: at one
# stroke, with its mode and owner, and with a copy of what keadm wrote. A program of its own, since systemd may have to run it.
write_edit() {
  edged_program >"$1/edit.awk"
  cat >"$1/edit.sh" <<EDIT
set -eu
config=$(quote "$CONFIG")
config=\$(readlink -f "\$config")
cp -p "\$config" "\$config.edge-ipam-new"
awk -v changes='nodeIP=$ADDRESS${DUMMY:+ customInterfaceName=$INTERFACE}' -f $(quote "$1")/edit.awk "\$config" >"\$config.edge-ipam-new" || {
  rm -f "\$config.edge-ipam-new"
  echo 'edge-ipam: modules.edged was not found in edgecore.yaml' >&2
  exit 1
}
[ -e "\$config.before-edge-ipam" ] || cp -p "\$config" "\$config.before-edge-ipam"
mv -f "\$config.edge-ipam-new" "\$config"
EDIT
}

edit_config() {
  write_edit "$WORK"
  /bin/sh "$WORK/edit.sh" 2>"$WORK/log" ||
    die $EX_EDIT "$CONFIG could not be changed ($(sed -n '$p' "$WORK/log")); set modules.edged.nodeIP: $ADDRESS there by hand, and restart edgecore"
}

# ------------------------------------------------------------------------------------------------------ edgecore, running

has_systemd() {
  [ -d "$ROOT/run/systemd/system" ] && command -v systemctl >/dev/null 2>&1
}

# An old keadm finds systemd only where there is a program `file`; else it starts edgecore as a process that nobody watches.
has_unit() {
  has_systemd && { [ -e "$ROOT/etc/systemd/system/edgecore.service" ] || systemctl is-enabled --quiet edgecore 2>/dev/null; }
}

# Not every device has pidof.
edgecore_pids() {
  if command -v pidof >/dev/null 2>&1; then
    pidof edgecore 2>/dev/null || :
  else
    grep -s -h '^[0-9]* (edgecore) [^XZ]' "$ROOT"/proc/[0-9]*/stat | cut -d ' ' -f 1
  fi
}

is_edgecore_running() {
  if has_unit; then systemctl is-active --quiet edgecore; else [ -n "$(edgecore_pids)" ]; fi
}

start_edgecore() {
  if has_unit; then
    systemctl enable edgecore >/dev/null 2>&1 || :
    systemctl start edgecore 2>"$WORK/log" || :
  else
    mkdir -p "$ROOT/var/log/kubeedge"
    nohup "$ROOT/usr/local/bin/edgecore" >>"$ROOT/var/log/kubeedge/edgecore.log" 2>&1 </dev/null &
  fi
  # One that dies at once has been running too.
  pause 3
  is_edgecore_running
}

stop_edgecore() {
  if has_unit; then
    systemctl stop edgecore
    return
  fi
  waited=0
  while pids=$(edgecore_pids) && [ -n "$pids" ]; do
    [ "$waited" -le 30 ] || return 1
    # shellcheck disable=SC2086 # one or several
    if [ "$waited" -lt 20 ]; then kill $pids 2>/dev/null || :; else kill -9 $pids 2>/dev/null || :; fi
    waited=$((waited + 1))
    pause 1
  done
}

where_edgecore_logs() {
  if has_unit; then printf 'journalctl -u edgecore'; else printf '%s' "$ROOT/var/log/kubeedge/edgecore.log"; fi
}

# Gives edgecore its address, stopped before and started after, so that it never runs with half of it.
change_edgecore() {
  stop_edgecore || die $EX_EDIT "edgecore could not be stopped; stop it, set modules.edged.nodeIP: $ADDRESS in $CONFIG, and start it"
  edit_config
  start_edgecore ||
    die $EX_NOT_RUNNING "edgecore does not run with $ADDRESS ($CONFIG); see $(where_edgecore_logs), mend it, and run this again"
}

# Has systemd edit edgecore.yaml right before it starts edgecore for the first time, in the middle of `keadm join`: cloudcore
# never sees the device's own address, which may be that of another node's tunnel. For the time of the join only.
put_drop_in() {
  DROPPED_IN=yes
  mkdir -p "$DROP_IN" "$ROOT/run/edge-ipam"
  chmod 700 "$ROOT/run/edge-ipam"
  write_edit "$ROOT/run/edge-ipam"
  printf '[Service]\nExecStartPre=/bin/sh "%s"\n' "$ROOT/run/edge-ipam/edit.sh" >"$DROP_IN/edge-ipam.conf"
  systemctl daemon-reload
}

# Also one that an earlier join left when it was killed: it would undo every later change of the address.
take_drop_in_away() {
  DROPPED_IN=''
  [ -e "$DROP_IN/edge-ipam.conf" ] || [ -e "$ROOT/run/edge-ipam" ] || return 0
  rm -f "$DROP_IN/edge-ipam.conf" 2>/dev/null || die $EX_EDIT "$DROP_IN/edge-ipam.conf could not be removed; run this as root"
  rmdir "$DROP_IN" 2>/dev/null || :
  systemctl daemon-reload || :
  rm -rf "$ROOT/run/edge-ipam"
}
