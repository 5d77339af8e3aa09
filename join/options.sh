
# --------------------------------------------------------------------------------------------------------------- options

# Reads the options up to `--`. OPTIONS is how many words they were, so that the caller can drop them.
parse_options() {
  OPTIONS=$#
  while [ $# -gt 0 ]; do
    option=$1
    case $option in
      --) break ;;
      --help | -h)
        usage
        exit 0
        ;;
      --dry-run | --check | --uninstall | --take-over | --readdress | --dummy-interface)
        take_switch "$option"
        shift
        continue
        ;;
      --token | --token=*)
        die $EX_USAGE '--token is not taken, everybody on this device could read it with ps; set EDGE_IPAM_TOKEN, or use --token-file FILE' ;;
      --server | --token-file | --node-name | --display-ip | --pool | --label | --node-uid | --keadm | --timeout | --ca-file | --ca-sha256)
        [ $# -ge 2 ] || die $EX_USAGE "$option needs a value; see --help"
        value=$2
        shift 2
        ;;
      --*=*)
        value=${option#*=}
        option=${option%%=*}
        shift
        ;;
      # What is not an option may be a token in the wrong place: it is not repeated.
      -*) die $EX_USAGE "unknown option $option; see --help (options for keadm come after --)" ;;
      *) die $EX_USAGE 'an argument that is no option; see --help (arguments for keadm come after --)' ;;
    esac
    take_option "$option" "$value"
  done
  OPTIONS=$((OPTIONS - $#))
}

take_switch() {
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --take-over) TAKE_OVER=yes ;;
    --readdress) READDRESS=yes ;;
    --dummy-interface) DUMMY=yes ;;
    --check | --uninstall)
      [ "$ACTION" = join ] || [ "$ACTION" = "${1#--}" ] || die $EX_USAGE '--check and --uninstall exclude each other; give one'
      ACTION=${1#--}
      ;;
  esac
}

take_option() {
  case $1 in
    --label) ;;
    *) [ -n "$2" ] || die $EX_USAGE "$1 needs a value; see --help" ;;
  esac
  case $1 in
    --server) SERVER=$2 ;;
    --token-file) TOKEN_FILE=$2 ;;
    --node-name) NODE_NAME=$2 ;;
    --display-ip) DISPLAY_IP=$2 ;;
    --pool) POOL=$2 ;;
    --label) add_label "$2" ;;
    --node-uid) NODE_UID=$2 ;;
    --keadm) KEADM=$2 ;;
    --timeout) TIMEOUT=$2 ;;
    --ca-file) CA_FILE=$2 ;;
    --ca-sha256) CA_SHA256=$2 ;;
    *) die $EX_USAGE "unknown option $1; see --help (options for keadm come after --)" ;;
  esac
}

check_options() {
  [ -n "$SERVER" ] || SERVER=$(recorded server)
  [ "$ACTION$SERVER" = uninstall ] || check_server
  check_pool
  if [ -z "$TIMEOUT" ]; then
    case $ACTION in check) TIMEOUT=0 ;; *) TIMEOUT=300 ;; esac
  fi
  is_number "$TIMEOUT" || die $EX_USAGE "--timeout '$TIMEOUT' is not a number of seconds; write for example --timeout 300"
  [ -z "$CA_FILE" ] || [ -r "$CA_FILE" ] || die $EX_USAGE "the file '$CA_FILE' given with --ca-file cannot be read; check its name and permissions"
  [ -z "$CA_SHA256" ] || check_pin
  [ -z "$CA_FILE" ] || grep -q -e '-----BEGIN .*CERTIFICATE-----' "$CA_FILE" 2>/dev/null ||
    die $EX_USAGE "the file '$CA_FILE' given with --ca-file has no certificate in PEM; give the authority's certificate (it begins with -----BEGIN CERTIFICATE-----)"
  case $DISPLAY_IP in
    '' | none) ;;
    *) is_ip "$DISPLAY_IP" || die $EX_USAGE "the display IP '$DISPLAY_IP' is not an IP address; write it like 192.168.1.10, or none" ;;
  esac
  case $NODE_UID in
    *[!A-Za-z0-9._:/@+-]*) die $EX_USAGE "the node UID '$NODE_UID' is not valid; use letters, digits and ._:/@+-" ;;
  esac
  [ "${#NODE_UID}" -le 253 ] || die $EX_USAGE 'the node UID is too long; 253 characters are allowed'
}

# The fingerprint as openssl prints it (sha256 Fingerprint=AB:CD:…), or as it is written elsewhere (sha256:abcd…).
check_pin() {
  [ -z "$CA_FILE" ] || die $EX_USAGE '--ca-file and --ca-sha256 are both given; give one'
  case $SERVER in https://*) ;; *) die $EX_USAGE '--ca-sha256 is of no use without https; correct the server' ;; esac
  pin=$(printf '%s' "${CA_SHA256##*=}" | tr '[:upper:]' '[:lower:]' | sed -e 's/^sha256://' | tr -d ': ')
  case $pin in *[!0-9a-f]*) pin='' ;; esac
  [ "${#pin}" -eq 64 ] || die $EX_USAGE "--ca-sha256 '$CA_SHA256' is not a SHA-256 fingerprint; it has 64 hexadecimal digits"
  CA_SHA256=$pin
}

# Sets TOKEN from the option, the environment or a file named there, and takes it out of the environment.
load_token() {
  if [ -z "$TOKEN_FILE" ] && [ -n "${EDGE_IPAM_TOKEN:-}" ]; then
    token=$EDGE_IPAM_TOKEN
  else
    TOKEN_FILE=${TOKEN_FILE:-${EDGE_IPAM_TOKEN_FILE:-}}
    # What is on the device can be undone without one.
    [ "$ACTION$TOKEN_FILE" != uninstall ] || return 0
    [ -n "$TOKEN_FILE" ] || die $EX_TOKEN 'no token given; set EDGE_IPAM_TOKEN, or use --token-file FILE'
    if [ ! -f "$TOKEN_FILE" ] || [ ! -r "$TOKEN_FILE" ]; then
      die $EX_TOKEN "the token file '$TOKEN_FILE' cannot be read; check its name and permissions"
    fi
    token=''
    IFS= read -r token <"$TOKEN_FILE" || :
    token=${token%"$(printf '\r')"}
  fi
  unset EDGE_IPAM_TOKEN
  case $token in
    '') die $EX_TOKEN 'the token is empty; put the token into EDGE_IPAM_TOKEN, or on the first line of the token file' ;;
    *[!A-Za-z0-9._~+/=-]*) die $EX_TOKEN 'the token has a character that no token has; copy it again, without quotes or spaces' ;;
  esac
  TOKEN=$token
}
