
# ------------------------------------------------------------------------------------------------------------ validation

is_number() {
  case $1 in '' | *[!0-9]* | ??????* | 0?*) return 1 ;; esac
}

is_ipv4() (
  case $1 in '' | *[!0-9.]* | .* | *. | *..*) exit 1 ;; esac
  IFS=.
  # shellcheck disable=SC2086 # split into its parts
  set -- $1
  [ $# -eq 4 ] || exit 1
  for part in "$@"; do
    case $part in 0?* | ????*) exit 1 ;; esac
    [ "$part" -le 255 ] || exit 1
  done
)

is_ipv6() (
  case $1 in *[!0-9A-Fa-f:]* | *:::* | *::*::* | :[!:]* | *[!:]:) exit 1 ;; *:*:*) ;; *) exit 1 ;; esac
  case $1 in *::*) short=yes ;; *) short='' ;; esac
  IFS=:
  # shellcheck disable=SC2086 # split into its parts
  set -- $1
  groups=0
  for part in "$@"; do
    case $part in '') continue ;; ?????*) exit 1 ;; esac
    groups=$((groups + 1))
  done
  if [ -n "$short" ]; then [ "$groups" -le 7 ]; else [ "$groups" -eq 8 ]; fi
)

is_ip() {
  is_ipv4 "$1" || is_ipv6 "$1"
}

is_node_name() {
  case $1 in '' | *[!a-z0-9.-]* | [.-]* | *[.-] | *..* | *.-* | *-.*) return 1 ;; esac
  [ "${#1}" -le 253 ] && ! is_ipv4 "$1"
}

check_server() {
  [ -n "$SERVER" ] || die $EX_USAGE 'no server given; add --server URL, or set EDGE_IPAM_SERVER'
  case $SERVER in
    *@*) die $EX_USAGE 'the server URL must not contain a user or password; give the token in EDGE_IPAM_TOKEN or --token-file' ;;
    http://?* | https://?*) ;;
    *) die $EX_USAGE 'the server must be a URL; write it as http://HOST:PORT or https://HOST:PORT' ;;
  esac
  case $SERVER in
    *[!]A-Za-z0-9.:/_~%[-]*) die $EX_USAGE 'the server URL has a character that does not belong there; write only scheme, host, port and path' ;;
  esac
  while :; do
    case $SERVER in */) SERVER=${SERVER%/} ;; *) break ;; esac
  done
}

check_pool() {
  case $POOL in
    *[!A-Za-z0-9._-]*) die $EX_USAGE "the pool name '$POOL' is not valid; use letters, digits, '-', '_' and '.'" ;;
  esac
}

# add_label KEY=VALUE: appends to LABELS, the inside of a JSON object. What passes needs no escaping.
add_label() {
  key=${1%%=*} value=${1#*=}
  case $1 in *=*) ;; *) die $EX_USAGE "the label '$1' has no '='; write --label KEY=VALUE" ;; esac
  case $key in '' | *[!A-Za-z0-9._/-]* | [!A-Za-z0-9]* | *[!A-Za-z0-9] | */*/*)
    die $EX_USAGE "the label key '$key' is not valid; use letters, digits, '-', '_', '.' and one '/'" ;;
  esac
  case $value in *[!A-Za-z0-9._-]* | [!A-Za-z0-9]* | *[!A-Za-z0-9])
    die $EX_USAGE "the value of the label '$key' is not valid; use letters, digits, '-', '_' and '.'" ;;
  esac
  [ "${#value}" -le 63 ] || die $EX_USAGE "the value of the label '$key' is too long; 63 characters are allowed"
  case ",$LABELS" in *",\"$key\":"*) die $EX_USAGE "the label '$key' is given twice; give it once" ;; esac
  LABELS="${LABELS:+$LABELS,}\"$key\":\"$value\""
}

