
# ------------------------------------------------------------------------------------------------- what this device is

# The host's name made a valid node name; fails if nothing that tells devices apart is left of it.
default_node_name() {
  name=$(uname -n | cut -c 1-253 | tr '[:upper:]_' '[:lower:]-' | tr -c 'a-z0-9.\n-' '-' |
    sed -e 's/[.-]*\.[.-]*/./g' -e 's/^[.-]*//' -e 's/[.-]*$//')
  if is_ipv4 "$name"; then
    name=$(printf '%s' "$name" | tr . -)
  fi
  case $name in localhost | localhost.* | none) return 1 ;; esac
  is_node_name "$name" && printf '%s' "$name"
}

# Container networks make interfaces of their own; their addresses are the same on every device and say nothing.
# br-lan and its like are real: only docker's br- with twelve hexadecimal digits is left out.
is_virtual() {
  hex='[0-9a-f]'
  # shellcheck disable=SC2254 # the pattern is meant as one
  case $1 in
    lo | docker* | cni* | cbr* | veth* | virbr* | vmnet* | flannel* | cali* | tunl* | vxlan* | cilium* | lxc* | lxd* | weave* | \
      kube-* | nodelocaldns* | podman* | dummy* | edgemesh* | edge-ipam*) return 0 ;;
    br-$hex$hex$hex$hex$hex$hex$hex$hex$hex$hex$hex$hex) return 0 ;;
  esac
  return 1
}

# Interfaces of the default routes of family $1 (4 or 6), the preferred one first.
default_interfaces() {
  if command -v ip >/dev/null 2>&1; then
    ip "-$1" route show 2>/dev/null | awk '
      /^[^ \t]/ { default_route = ($1 == "default"); metric = 0 }
      default_route {
        device = ""
        for (i = 1; i < NF; i++) { if ($i == "dev") device = $(i + 1); if ($i == "metric") metric = $(i + 1) }
        if (device != "") print metric, NR, device
      }'
  elif [ "$1" = 4 ] && command -v route >/dev/null 2>&1; then
    route -n 2>/dev/null | awk '$1 == "0.0.0.0" && $3 == "0.0.0.0" { print $5, NR, $8 }'
  fi | sort -n -k 1,1 -k 2,2 | sed 's/.* //'
}

# The first lasting address of family $1 on interface $2.
interface_address() {
  if command -v ip >/dev/null 2>&1; then
    ip -o "-$1" addr show dev "$2" 2>/dev/null | grep ' scope global' | grep -v -e temporary -e deprecated -e tentative
  elif command -v ifconfig >/dev/null 2>&1; then
    ifconfig "$2" 2>/dev/null | sed 's/inet addr:/inet /'
  fi | awk '{ for (i = 1; i < NF; i++) if ($i == "inet" || $i == "inet6") { sub("/.*", "", $(i + 1)); print $(i + 1); exit } }'
}

default_display_ip() {
  for family in 4 6; do
    for interface in $(default_interfaces $family); do
      is_virtual "$interface" && continue
      address=$(interface_address $family "$interface") || :
      if is_ip "$address"; then
        printf '%s' "$address"
        return 0
      fi
    done
  done
}

# Settles NODE_NAME, and whether it was only guessed from the host's name. NAMED is the name that the keadm arguments carry.
settle_name() {
  if [ -n "$NAMED" ]; then
    [ -z "$NODE_NAME" ] || [ "$NODE_NAME" = "$NAMED" ] ||
      die $EX_USAGE "--node-name says '$NODE_NAME' and the keadm arguments say '$NAMED'; give the name once"
    NODE_NAME=$NAMED
  fi
  set_up_as=$(setting hostnameOverride)
  NODE_NAME=${NODE_NAME:-${set_up_as:-$(recorded node)}}
  if [ -z "$NODE_NAME" ]; then
    GUESSED=yes
    NODE_NAME=$(default_node_name) ||
      die $EX_USAGE "the host's name '$(uname -n)' does not tell this device from others; add --node-name NAME"
  fi
  is_node_name "$NODE_NAME" ||
    die $EX_USAGE "the node name '$NODE_NAME' is not valid; use lower-case letters, digits, '-' and '.', at most 253, and no IP address"
  [ -z "$set_up_as" ] || [ "$set_up_as" = "$NODE_NAME" ] ||
    die $EX_OTHER "this device is set up as $set_up_as ($CONFIG), not as $NODE_NAME; leave the cluster first with --uninstall --node-name $set_up_as"
}

settle_display_ip() {
  case $DISPLAY_IP in
    none) DISPLAY_IP='' ;;
    '')
      DISPLAY_IP=$(default_display_ip)
      DISPLAY_IP_GUESSED=${DISPLAY_IP:+yes}
      ;;
  esac
}

# Makes a UID of what the board says of itself, which stays when the disk is written anew. It is hashed: who reads the
# service's nodes need not know serial numbers. Makers leave such fields empty, or the same on all their boards.
settle_uid() {
  [ "$NODE_UID" = hardware ] || return 0
  serial=''
  for file in "$ROOT/sys/class/dmi/id/product_uuid" "$ROOT/proc/device-tree/serial-number"; do
    if [ -z "$serial" ] && [ -r "$file" ]; then
      serial=$(tr '[:upper:]' '[:lower:]' <"$file" | tr -c -d 'a-z0-9-')
    fi
    case $(printf '%s' "$serial" | tr -d -- -) in
      *[!0f]*) ;;
      *) serial='' ;;
    esac
    case $serial in 03000200-0400-0500-0006-000700080009 | 0123456789* | *notsettable* | *filledbyoem*) serial='' ;; esac
  done
  [ -n "$serial" ] || die $EX_USAGE 'this board tells no serial number of its own; give --node-uid another UID, or leave it out'
  NODE_UID=$(printf 'edge-ipam %s' "$serial" | sha256sum 2>/dev/null | sed -n 's/^\([0-9a-f]\{32\}\).*/hardware-\1/p')
  [ -n "$NODE_UID" ] || die $EX_CLIENT '--node-uid hardware needs sha256sum; install coreutils, or give a UID of your own'
}
