#!/bin/sh
# join.sh: joins this device to KubeEdge with a unique IP from the IPAM service.
#
#   curl -fsSL http://SERVER/join.sh | EDGE_IPAM_TOKEN=… sh -s -- --server http://SERVER -- KEADM-ARGUMENTS
#
# It asks the service for this node's unique IP (asking again gives the same one), and runs `keadm join` so that edgecore
# reports that address. `--help` tells the rest.
#
# Written for any POSIX sh: dash, busybox ash, bash. Three rules hold throughout:
#   - the token is never an argument of a program, never printed, and not in the environment of what is run;
#   - everything is inside functions, and the last line starts them: half a download does nothing;
#   - stdout tells what happens, stderr has one line when something failed.
set -eu

readonly EX_USAGE=2 EX_CLIENT=3 EX_TOKEN=4 EX_UNREACHABLE=5 EX_TLS=6 EX_BUSY=7 EX_UNAUTHORIZED=8 EX_FORBIDDEN=9
readonly EX_NOT_FOUND=10 EX_CONFLICT=11 EX_REFUSED=12 EX_ANSWER=13 EX_NO_KEADM=14 EX_OLD_KEADM=15 EX_JOIN=16 EX_JOINED=17

usage() {
  cat <<'HELP'
Usage: join.sh --server URL [options] [-- arguments for keadm join]

Gets this node's unique IP from the IPAM service and runs `keadm join` with it.

  --server URL        the IPAM service, http:// or https:// (or EDGE_IPAM_SERVER)
  --token-file FILE   the file whose first line is the token (or EDGE_IPAM_TOKEN_FILE, or the token in EDGE_IPAM_TOKEN)
  --node-name NAME    default: --edgenode-name from the keadm arguments, else this host's name, made valid
  --display-ip IP     the address that people see; default: the one of the interface with the default route
                      (never of a container bridge); "none" sends none
  --pool NAME         the pool to take the address from
  --label KEY=VALUE   a label of the node; may be repeated
  --keadm PATH        default: keadm in PATH
  --timeout SECONDS   how long to go on trying while the service cannot be reached or is busy; default 300, 0: try once
  --ca-file FILE      certificate of the authority that signed the service's certificate (PEM)
  --dry-run           says what would be done, and keeps nothing
  --help

There is no --token: every user of this device could read it in the list of processes.

Exit codes
   0  joined, or it already was
   1  stopped by something unforeseen
   2  wrong usage
   3  neither curl nor GNU wget 1 here (busybox wget cannot keep the token out of the list of processes)
   4  no token, or one that cannot be read
   5  the service could not be reached in time
   6  the service's certificate is not trusted
   7  the service was reached and stayed busy or broken (429, 500, 502, 503, 504)
   8  the token was refused (401)
   9  the token may not do this (403)
  10  not found (404): the pool, or the service under this URL
  11  a conflict (409): the pool is full, or the node holds another address than asked for
  12  the request was refused (400, 422, other 4xx)
  13  the answer was not an address: is this URL the IPAM service?
  14  no keadm
  15  this keadm cannot be told an address
  16  keadm join failed
  17  this device is already set up with another address
 130, 143  interrupted, terminated

Running it again does no harm: the node keeps its address, and a device that is set up is left alone.
HELP
}

# ---------------------------------------------------------------------------------------------------------------- output

say() {
  printf 'join.sh: %s\n' "$(clean "$1")"
}

# die CODE WHAT: one line on stderr.
die() {
  SAID=yes
  printf 'join.sh: %s\n' "$(clean "$2")" >&2
  exit "$1"
}

# Text from elsewhere (a server, a client's error) goes to a terminal: no control characters, no token if it was echoed.
clean() {
  text=$1
  if [ -n "$TOKEN" ]; then
    while :; do
      case $text in *"$TOKEN"*) text=${text%%"$TOKEN"*}'***'${text#*"$TOKEN"} ;; *) break ;; esac
    done
  fi
  printf '%s' "$text" | tr '\n\t' '  ' | tr -d '\000-\037\177'
}

# One argument as a person could paste it into a shell.
quote() {
  case $1 in
    '' | *[!A-Za-z0-9_./:=,@%+-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
  esac
}

# The command line of the arguments, without the KubeEdge token that may be among them.
quote_all() {
  line='' hide=''
  for word in "$@"; do
    if [ -n "$hide" ]; then
      word='***' hide=''
    else
      case $word in
        --token | -t) hide=yes ;;
        --token=*) word='--token=***' ;;
        -t?*) word='-t***' ;;
      esac
    fi
    line="$line $(quote "$word")"
  done
  printf '%s' "${line# }"
}

# ---------------------------------------------------------------------------------------------- lifetime, temporary files

on_exit() {
  code=$?
  cleanup
  if [ "$code" -ne 0 ] && [ -z "$SAID" ]; then
    printf 'join.sh: %s\n' 'stopped unexpectedly; run it again, it does no harm' >&2
  fi
}

cleanup() {
  [ -z "$SLEEPER" ] || kill "$SLEEPER" 2>/dev/null || :
  SLEEPER=''
  [ -z "$WORK" ] || rm -rf "$WORK"
  WORK=''
}

make_work_folder() {
  WORK=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/edge-ipam-join.XXXXXX") ||
    die 1 "cannot make a folder in ${TMPDIR:-/tmp}; free some space, or set TMPDIR to a folder that can be written"
}

# Seconds that only go forward: the clock of a device without a battery jumps by years when NTP finds it.
now() {
  if [ -r /proc/uptime ]; then
    read -r uptime _ </proc/uptime
    printf '%s' "${uptime%%.*}"
  else
    date +%s
  fi
}

# The background and `wait` let a signal end the pause at once.
pause() {
  sleep "$1" &
  SLEEPER=$!
  wait "$SLEEPER" || :
  SLEEPER=''
}

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
      --dry-run)
        DRY_RUN=yes
        shift
        continue
        ;;
      --token | --token=*)
        die $EX_USAGE '--token is not taken, everybody on this device could read it with ps; set EDGE_IPAM_TOKEN, or use --token-file FILE' ;;
      --server | --token-file | --node-name | --display-ip | --pool | --label | --keadm | --timeout | --ca-file)
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
    --keadm) KEADM=$2 ;;
    --timeout) TIMEOUT=$2 ;;
    --ca-file) CA_FILE=$2 ;;
    *) die $EX_USAGE "unknown option $1; see --help (options for keadm come after --)" ;;
  esac
}

check_options() {
  check_server
  check_pool
  is_number "$TIMEOUT" || die $EX_USAGE "--timeout '$TIMEOUT' is not a number of seconds; write for example --timeout 300"
  [ -z "$CA_FILE" ] || [ -r "$CA_FILE" ] || die $EX_USAGE "the file '$CA_FILE' given with --ca-file cannot be read; check its name and permissions"
  case $DISPLAY_IP in
    '' | none) ;;
    *) is_ip "$DISPLAY_IP" || die $EX_USAGE "the display IP '$DISPLAY_IP' is not an IP address; write it like 192.168.1.10, or none" ;;
  esac
}

# Sets TOKEN from the option, the environment or a file named there, and takes it out of the environment.
load_token() {
  TOKEN=''
  if [ -z "$TOKEN_FILE" ] && [ -n "${EDGE_IPAM_TOKEN:-}" ]; then
    token=$EDGE_IPAM_TOKEN
  else
    TOKEN_FILE=${TOKEN_FILE:-${EDGE_IPAM_TOKEN_FILE:-}}
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

# ------------------------------------------------------------------------------------------------ what this device is

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
      kube-* | nodelocaldns* | podman* | dummy* | edgemesh*) return 0 ;;
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

# Settles NODE_NAME and DISPLAY_IP. NAMED is the name that the keadm arguments carry, if any.
describe_device() {
  if [ -n "$NAMED" ]; then
    [ -z "$NODE_NAME" ] || [ "$NODE_NAME" = "$NAMED" ] ||
      die $EX_USAGE "--node-name says '$NODE_NAME' and the keadm arguments say '$NAMED'; give the name once"
    NODE_NAME=$NAMED
  fi
  if [ -z "$NODE_NAME" ]; then
    NODE_NAME=$(default_node_name) ||
      die $EX_USAGE "the host's name '$(uname -n)' does not tell this device from others; add --node-name NAME"
  fi
  is_node_name "$NODE_NAME" ||
    die $EX_USAGE "the node name '$NODE_NAME' is not valid; use lower-case letters, digits, '-' and '.', at most 253, and no IP address"
  case $DISPLAY_IP in
    none) DISPLAY_IP='' ;;
    '') DISPLAY_IP=$(default_display_ip) ;;
  esac
}

# ----------------------------------------------------------------------------------------------------------------- keadm

# Finds keadm, and sets METHOD by its own help: by-flag (--edgenode-ip), by-set (--set), none, or missing.
#
# KubeSphere's builds have --edgenode-ip; `keadm join` has --set since KubeEdge 1.18. Where both are, --edgenode-ip is
# used: it means nothing but this, and --set stays the caller's.
inspect_keadm() {
  METHOD=missing
  KEADM=$(command -v "$KEADM" 2>/dev/null) || return 0
  if [ ! -x "$KEADM" ] || [ -d "$KEADM" ]; then return 0; fi
  help=$("$KEADM" join --help 2>&1 </dev/null) || :
  METHOD=none
  if has_flag "$help" --set; then METHOD=by-set; fi
  if has_flag "$help" --edgenode-ip; then METHOD=by-flag; fi
}

has_flag() {
  printf '%s\n' "$1" | grep -q -E -e "(^|[^[:alnum:]-])$2([^[:alnum:]-]|\$)"
}

require_keadm() {
  [ "$METHOD" != missing ] ||
    die $EX_NO_KEADM 'keadm was not found or cannot be run; install the keadm of your KubeEdge version, or name it with --keadm PATH'
}

# Looks through the keadm arguments: sets NAMED (their node name) and SETS (their --set values joined by commas, which is
# how every keadm since 1.18 reads them; some of these take --set only once). Refuses an address of their own.
inspect_arguments() {
  NAMED='' SETS='' previous=''
  for word in "$@"; do
    case $previous in
      --edgenode-name | -i) NAMED=$word ;;
      --set) SETS="${SETS:+$SETS,}$word" ;;
    esac
    case $word in
      --edgenode-name=*) NAMED=${word#*=} ;;
      -i?*) NAMED=${word#-i} NAMED=${NAMED#=} ;;
      --set=*) SETS="${SETS:+$SETS,}${word#*=}" ;;
      --edgenode-ip | --edgenode-ip=* | -a | -a?*)
        die $EX_USAGE 'the keadm arguments have --edgenode-ip (or -a), which is what this script sets; leave it out (--display-ip is the address that people see)' ;;
    esac
    previous=$word
  done
  case $(printf '%s' "$SETS" | tr '[:upper:]' '[:lower:]' | tr -d ' ') in
    *modules.edged.nodeip=*)
      die $EX_USAGE 'the keadm arguments set modules.edged.nodeIP, which is what this script sets; leave it out' ;;
  esac
}

# run_keadm ADDRESS ARGUMENTS: joins, or with --dry-run says how.
run_keadm() {
  address=$1
  shift
  if [ "$METHOD" = by-set ]; then
    drop_sets "$@"
    return
  fi
  join_with --edgenode-ip "$address" "$@"
}

# Takes the caller's --set values out of the arguments and puts one --set before them, ours first in it: a value with an
# open brace or quote swallows only what comes after it.
drop_sets() {
  count=$# skip=''
  while [ "$count" -gt 0 ]; do
    word=$1
    shift
    count=$((count - 1))
    if [ -n "$skip" ]; then
      skip=''
      continue
    fi
    case $word in
      --set) skip=yes ;;
      --set=*) ;;
      *) set -- "$@" "$word" ;;
    esac
  done
  join_with --set "modules.edged.nodeIP=$address${SETS:+,$SETS}" "$@"
}

join_with() {
  [ -n "$NAMED" ] || set -- "--edgenode-name=$NODE_NAME" "$@"
  if [ -n "$DRY_RUN" ]; then
    say "would run: $(quote_all "$KEADM" join "$@")"
    return
  fi
  say "running: $(quote_all "$KEADM" join "$@")"
  # From here on nothing of ours is needed, the file with the token least of all; and the locale is the caller's again.
  cleanup
  if [ -n "$LOCALE" ]; then LC_ALL=$LOCALE; else unset LC_ALL; fi
  "$KEADM" join "$@" ||
    die $EX_JOIN "keadm join failed with code $?; its messages are above, $NODE_NAME keeps $address: mend it, run 'keadm reset' if it asks for that, and run this again"
  say "$NODE_NAME joined with $address"
}

# ------------------------------------------------------------------------------------------------------------------ HTTP

# Sets CLIENT to curl or wget.
choose_client() {
  if command -v curl >/dev/null 2>&1; then
    CLIENT=curl
    return
  fi
  case $(wget --version 2>/dev/null | sed 1q) in
    'GNU Wget '*) CLIENT=wget ;;
    *)
      if command -v wget >/dev/null 2>&1; then
        die $EX_CLIENT 'there is no curl, and this wget will not do (that of busybox would show the token in the list of processes, wget2 hides the answer); install curl or GNU wget 1'
      fi
      die $EX_CLIENT 'there is neither curl nor GNU wget; install one of them'
      ;;
  esac
}

# post URL BODY SECONDS: one request. Sets STATUS (000: no answer), RETRY_AFTER (seconds or empty) and REASON (why there was
# none), and leaves the answer in $WORK/answer. Returns 1 only if the certificate was not trusted.
post() {
  STATUS=000 RETRY_AFTER='' REASON=''
  : >"$WORK/answer"
  : >"$WORK/head"
  : >"$WORK/log"
  result=0
  "post_$CLIENT" "$1" "$2" "$3" || result=$?
  case $CLIENT$result in
    curl0 | wget0) ;;
    curl51 | curl58 | curl60 | curl77 | curl82 | curl83 | curl90 | wget5)
      REASON=$(why)
      return 1
      ;;
    # A good status whose answer did not arrive whole is no answer.
    *) case $STATUS in 2??) STATUS=000 ;; esac ;;
  esac
  REASON=$(why)
  RETRY_AFTER=$(sed -n 's/^ *[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *0*\([0-9]\{1,5\}\)[^0-9]*$/\1/p' "$WORK/head" | sed -n '$p')
}

why() {
  grep -i -e fail -e unable -e error -e cannot -e refused -e curl "$WORK/log" | sed -e '$!d' -e 's/^curl: ([0-9]*) //' -e 's/^.*\.\.\. //' -e 's/[.;]*$//' || :
}

# curl reads the token and the body from its stdin. A here-document, since in some shells printf is a program with arguments.
post_curl() {
  escaped=$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')
  failed=0
  curl -q -sS --globoff --connect-timeout 10 --max-time "$3" ${CA_FILE:+--cacert "$CA_FILE"} \
    -o "$WORK/answer" -D "$WORK/head" -w '%{http_code}' -K - "$1" >"$WORK/status" 2>"$WORK/log" <<CONFIG || failed=$?
header = "Authorization: Bearer $TOKEN"
header = "Content-Type: application/json"
header = "Accept: text/plain"
data = "$escaped"
CONFIG
  IFS= read -r STATUS <"$WORK/status" || :
  STATUS=${STATUS:-000}
  return "$failed"
}

# wget reads the token from a file in our own folder (mode 700). It must not follow a redirect: the token would go along.
post_wget() {
  (
    umask 077
    cat >"$WORK/wgetrc" <<CONFIG
header = Authorization: Bearer $TOKEN
header = Content-Type: application/json
header = Accept: text/plain
content_on_error = on
max_redirect = 0
CONFIG
    printf '%s' "$2" >"$WORK/request"
  )
  failed=0
  wget --config="$WORK/wgetrc" --no-netrc --tries=1 --timeout="$3" --server-response --post-file="$WORK/request" \
    ${CA_FILE:+--ca-certificate="$CA_FILE"} -O "$WORK/answer" -o "$WORK/log" "$1" || failed=$?
  grep -E '^ +[A-Za-z0-9-]+(/[0-9.]+ |:)' "$WORK/log" >"$WORK/head" || :
  STATUS=$(sed -n 's/^ *HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' "$WORK/head" | sed -n '$p')
  STATUS=${STATUS:-000}
  return "$failed"
}

# problem_field NAME: a text of the problem document; quotes inside it become apostrophes, which is near enough for reading.
problem_field() {
  tr '\n' ' ' <"$WORK/answer" | sed -e "s/\\\\\"/'/g" | sed -n "s/.*\"$1\" *: *\"\\([^\"]*\\)\".*/\\1/p"
}

# What the service said, for the end of a sentence.
problem() {
  detail=$(problem_field detail) code=$(problem_field code)
  case $detail$code in
    '') printf '%s' "it answered $STATUS" ;;
    *) printf '%s' "${detail:-$STATUS}${code:+ ($code)}" ;;
  esac | sed 's/\. (/ (/'
}

# ------------------------------------------------------------------------------------------------------------ allocation

allocation_body() {
  printf '{"nodeName":"%s"' "$NODE_NAME"
  [ -z "$DISPLAY_IP" ] || printf ',"displayIp":"%s"' "$DISPLAY_IP"
  [ -z "$POOL" ] || printf ',"pool":"%s"' "$POOL"
  [ -z "$LABELS" ] || printf ',"labels":{%s}' "$LABELS"
  printf '}'
}

# Sets ADDRESS and STATUS, asking until there is an answer or the time is over. Allocation is idempotent by node name, so that
# asking again is safe whatever became of the last request.
allocate() {
  url=$SERVER/v1/allocations
  [ -z "$DRY_RUN" ] || url="$url?dryRun=true"
  body=$(allocation_body)
  deadline=$(($(now) + TIMEOUT))
  attempt=0
  while :; do
    left=$((deadline - $(now)))
    limit=30
    if [ "$TIMEOUT" -gt 0 ] && [ "$left" -lt "$limit" ]; then limit=$left; fi
    if [ "$limit" -lt 1 ]; then limit=1; fi
    post "$url" "$body" "$limit" ||
      die $EX_TLS "the certificate of $SERVER is not trusted${REASON:+ ($REASON)}; give its authority with --ca-file FILE"
    case $STATUS in
      000 | 429 | 500 | 502 | 503 | 504) ;;
      *) break ;;
    esac
    wait_for_retry
  done
  read_address
}

# Waits before the next attempt, or ends if the time is over.
wait_for_retry() {
  left=$((deadline - $(now)))
  if [ "$left" -le 0 ]; then
    [ "$STATUS" != 000 ] ||
      die $EX_UNREACHABLE "$SERVER could not be reached${REASON:+ ($REASON)}; check the URL and the network, and run this again"
    die $EX_BUSY "the IPAM service cannot answer now: $(problem); run this again later"
  fi
  if [ "$STATUS" = 000 ]; then
    trouble="could not be reached${REASON:+ ($REASON)}"
  else
    trouble="answered $STATUS"
  fi
  delay=$(retry_delay)
  attempt=$((attempt + 1))
  if [ "$delay" -gt "$left" ]; then delay=$left; fi
  say "$SERVER $trouble; trying again in $delay s"
  pause "$delay"
}

# Seconds: what the service asked for, at most a minute, else 1, 2, 4 … 30; and up to half as much again by chance, since
# devices that lost their power together come back together.
retry_delay() {
  base=1 step=0
  while [ "$step" -lt "$attempt" ] && [ "$base" -lt 30 ]; do
    base=$((base * 2)) step=$((step + 1))
  done
  if [ "$base" -gt 30 ]; then base=30; fi
  if [ -n "$RETRY_AFTER" ]; then
    base=$RETRY_AFTER
    if [ "$base" -gt 60 ]; then base=60; fi
  fi
  chance=$(od -An -N2 -tu2 /dev/urandom 2>/dev/null | tr -d ' \n') || :
  printf '%s' $((base + ${chance:-$$} % (base / 2 + 2)))
}

# Turns the last answer into ADDRESS, or ends.
read_address() {
  case $STATUS in
    200 | 201) ;;
    401) die $EX_UNAUTHORIZED "the token was refused: $(problem); ask the administrator whether it is still good, or for another" ;;
    403) die $EX_FORBIDDEN "this token may not allocate for $NODE_NAME: $(problem); use a join token whose name pattern fits, or another --node-name" ;;
    404) die $EX_NOT_FOUND "no address for $NODE_NAME${POOL:+ in pool $POOL}: $(problem); check --pool, --label and --server" ;;
    409) die $EX_CONFLICT "no address for $NODE_NAME${POOL:+ in pool $POOL}: $(problem); an administrator has to look at the pool, or at what the node holds" ;;
    4??) die $EX_REFUSED "the request was refused: $(problem); correct the options, see --help" ;;
    3??) die $EX_ANSWER "$SERVER redirects ($STATUS), and the token is not sent on; give --server the URL that it redirects to" ;;
    *) die $EX_ANSWER "$SERVER answered $STATUS, which is not understood; check that --server is the IPAM service" ;;
  esac
  ADDRESS='' more=''
  { IFS= read -r ADDRESS || :; IFS= read -r more || :; } <"$WORK/answer"
  if [ -n "$more" ] || ! is_ip "$ADDRESS"; then
    die $EX_ANSWER "$SERVER answered $STATUS with something that is not an address; check that --server is the IPAM service"
  fi
}

# ------------------------------------------------------------------------------------------------------------------ join

# The address that edgecore.yaml sets, empty if there is none. It stands under modules.edged in every generation of the file.
configured_address() {
  [ ! -r "$CONFIG" ] || sed -n 's/^[[:space:]]*nodeIP:[[:space:]]*["'\'']\{0,1\}\([0-9A-Fa-f.:]*\).*/\1/p' "$CONFIG" | sed 1q
}

is_edgecore_running() {
  grep -q -x edgecore /proc/[0-9]*/comm 2>/dev/null
}

# Ends the script if edgecore has been set up here.
stop_if_joined() {
  configured=$(configured_address)
  [ -n "$configured" ] || return 0
  if [ "$configured" != "$ADDRESS" ]; then
    die $EX_JOINED "this device is already set up with $configured ($CONFIG), and $NODE_NAME has $ADDRESS; run 'keadm reset' and then this again, or set modules.edged.nodeIP there and restart edgecore"
  fi
  if is_edgecore_running; then
    say "$NODE_NAME is already set up with $ADDRESS ($CONFIG); nothing to do"
  else
    say "$NODE_NAME is already set up with $ADDRESS ($CONFIG), but edgecore is not running: start it, or run 'keadm reset' and then this again"
  fi
  exit 0
}

describe_request() {
  printf '%s' "for node $NODE_NAME, display IP ${DISPLAY_IP:-none}${POOL:+, pool $POOL}${LABELS:+, labels $(printf '%s' "$LABELS" | tr -d '"' | tr : =)}"
}

join() {
  inspect_arguments "$@"
  describe_device
  inspect_keadm
  # A device that is set up may have lost its keadm, and needs none.
  [ -n "$DRY_RUN" ] || [ -n "$(configured_address)" ] || require_keadm
  case $SERVER in
    https://* | http://127.* | http://localhost | http://localhost[:/]* | 'http://[::1]'*) ;;
    *) say 'note: without https the token can be read on the way' ;;
  esac
  make_work_folder

  if [ -n "$DRY_RUN" ]; then
    say "would ask $SERVER for a unique IP $(describe_request)"
    allocate
    say "would get $ADDRESS (asked with dryRun=true: nothing was kept)"
  else
    say "asking $SERVER for a unique IP $(describe_request)"
    allocate
    case $STATUS in 201) again='' ;; *) again=', as before' ;; esac
    say "$NODE_NAME has $ADDRESS$again"
  fi

  stop_if_joined
  require_keadm
  [ "$METHOD" != none ] ||
    die $EX_OLD_KEADM "$KEADM cannot be told an address (no --set, no --edgenode-ip); $NODE_NAME keeps $ADDRESS: use the keadm of KubeEdge 1.18 or later, or join by hand, set modules.edged.nodeIP: $ADDRESS in $CONFIG and restart edgecore"
  run_keadm "$ADDRESS" "$@"
}

main() {
  SAID='' WORK='' SLEEPER=''
  case $- in
    *x*)
      set +x
      printf 'join.sh: %s\n' 'tracing is switched off: it would show the token'
      ;;
  esac
  # Nothing of ours may reach the environment of other programs, as it would with `set -a`, or if TOKEN came exported.
  set +a
  unset TOKEN token
  TOKEN=''
  # Ranges in patterns mean ASCII, and the messages of other programs are in one language.
  LOCALE=${LC_ALL:-}
  LC_ALL=C
  export LC_ALL
  trap on_exit EXIT
  trap 'SAID=yes; exit 130' INT
  trap 'SAID=yes; exit 143' TERM HUP

  SERVER=${EDGE_IPAM_SERVER:-} TOKEN_FILE='' NODE_NAME='' DISPLAY_IP='' POOL='' LABELS='' KEADM=keadm TIMEOUT=300 CA_FILE=''
  DRY_RUN='' CONFIG=${EDGE_IPAM_EDGECORE_CONFIG:-/etc/kubeedge/config/edgecore.yaml}
  parse_options "$@"
  shift "$OPTIONS"
  if [ $# -gt 0 ]; then shift; fi # the -- itself
  check_options
  load_token
  choose_client
  join "$@"
}

# In braces, so that a last line cut short is a syntax error and not a call without arguments.
{ main "$@"; }
