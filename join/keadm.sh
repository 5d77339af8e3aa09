
# ----------------------------------------------------------------------------------------------------------------- keadm

# Finds keadm, and sets WAY by its own help: missing, unknown, or how it is told an address:
#   flag   --edgenode-ip. KubeSphere's builds. Where --set is, too, this one is used: it means nothing but this.
#   set    --set modules.edged.nodeIP=…, since KubeEdge 1.18
#   edit   not at all: edgecore.yaml is edited before edgecore starts
inspect_keadm() {
  WAY=missing
  KEADM=$(command -v "$KEADM" 2>/dev/null) || return 0
  if [ ! -x "$KEADM" ] || [ -d "$KEADM" ]; then return 0; fi
  help=$("$KEADM" join --help 2>&1 </dev/null) || :
  WAY=unknown
  if has_flag "$help" --cloudcore-ipport; then WAY=edit; fi
  if has_flag "$help" --set; then WAY='set'; fi
  if has_flag "$help" --edgenode-ip; then WAY=flag; fi
}

has_flag() {
  printf '%s\n' "$1" | grep -q -E -e "(^|[^[:alnum:]-])$2([^[:alnum:]-]|\$)"
}

require_keadm() {
  case $WAY in
    missing) die $EX_NO_KEADM 'keadm was not found or cannot be run; install the keadm of your KubeEdge version, or name it with --keadm PATH' ;;
    unknown) die $EX_UNKNOWN_KEADM "$KEADM join --help names no flag that KubeEdge's keadm has; name the right program with --keadm PATH" ;;
  esac
}

# Edgecores 1.12.0 and 1.12.1 refuse an address that no interface carries.
settle_interface() {
  version=${VERSION:-$(keadm_version)}
  version=${version#v}
  case $version in
    1.12.[01] | 1.12.[01][!0-9]*) DUMMY=yes ;;
    '') [ "$WAY$DUMMY" != edit ] || say 'note: keadm tells no version; if it is 1.12.0 or 1.12.1, add --dummy-interface' ;;
  esac
}

keadm_version() {
  "$KEADM" version 2>/dev/null </dev/null | sed -n 's/.*[Gg]itVersion"\{0,1\}: *"\{0,1\}v\([0-9][0-9A-Za-z.+-]*\).*/\1/p' | sed 1q
}

# Looks through the keadm arguments: sets NAMED (their node name), VERSION (of KubeEdge) and SETS (their --set values joined
# by commas, which is how every keadm since 1.18 reads them; some of these take --set only once). Refuses an address of
# their own.
inspect_arguments() {
  NAMED='' SETS='' VERSION='' previous=''
  for word in "$@"; do
    case $previous in
      --edgenode-name | -i) NAMED=$word ;;
      --kubeedge-version) VERSION=$word ;;
      --set) SETS="${SETS:+$SETS,}$word" ;;
    esac
    case $word in
      --edgenode-name=*) NAMED=${word#*=} ;;
      -i?*) NAMED=${word#-i} NAMED=${NAMED#=} ;;
      --kubeedge-version=*) VERSION=${word#*=} ;;
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

# run_keadm ARGUMENTS: joins with ADDRESS, or with --dry-run says how.
run_keadm() {
  case $WAY in
    set) drop_sets "$@" ;;
    flag) join_with --edgenode-ip "$ADDRESS" "$@" ;;
    edit) join_with "$@" ;;
  esac
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
  join_with --set "modules.edged.nodeIP=$ADDRESS${DUMMY:+,modules.edged.customInterfaceName=$INTERFACE}${SETS:+,$SETS}" "$@"
}

join_with() {
  [ -n "$NAMED" ] || set -- "--edgenode-name=$NODE_NAME" "$@"
  if [ -n "$DRY_RUN" ]; then
    say "would run: $(quote_all "$KEADM" join "$@")"
    return
  fi
  say "running: $(quote_all "$KEADM" join "$@")"
  run_elsewhere "$KEADM" join "$@" ||
    die $EX_JOIN "keadm join failed with code $?; its messages are above, $NODE_NAME keeps $ADDRESS: mend it, run this with --uninstall if keadm asks for a reset, and run this again"
}

# keadm needs nothing of ours, the files with the token least of all; and its locale is the caller's.
run_elsewhere() (
  drop_work_folder
  if [ -n "$LOCALE" ]; then exec env LC_ALL="$LOCALE" "$@"; else exec env -u LC_ALL "$@"; fi
)

# `keadm reset` asks, and does nothing where edgecore is not running (before 1.20); since 1.17 the edge has a command of its own.
reset_device() {
  help=$("$KEADM" reset --help 2>&1 </dev/null) || :
  set -- reset
  if printf '%s\n' "$help" | grep -q '^ *edge  '; then set -- reset edge; fi
  if [ -n "$DRY_RUN" ]; then
    say "would run: $(quote_all "$KEADM" "$@" --force)"
    return
  fi
  say "running: $(quote_all "$KEADM" "$@" --force)"
  run_elsewhere "$KEADM" "$@" --force </dev/null ||
    die $EX_RESET "keadm $* failed with code $?; its messages are above: mend it, and run this again"
}
