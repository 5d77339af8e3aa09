
# ------------------------------------------------------------------------------------------------------------------ main

main() {
  SAID='' WORK='' SLEEPER='' DROPPED_IN=''
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

  ACTION=join SERVER=${EDGE_IPAM_SERVER:-} TOKEN_FILE='' NODE_NAME='' DISPLAY_IP='' POOL='' LABELS='' NODE_UID='' TIMEOUT=''
  CA_FILE='' CA_SHA256='' KEADM=keadm DRY_RUN='' TAKE_OVER='' READDRESS='' DUMMY='' GUESSED='' NAMED='' MEANT='' ADDRESS=''
  SEQUENCE='' DISPLAY_IP_GUESSED=''
  # Where the device's file system begins: for tests, and for images that are made on another machine.
  ROOT=${EDGE_IPAM_ROOT:-}
  CONFIG=$ROOT/etc/kubeedge/config/edgecore.yaml
  RECORD=$ROOT/var/lib/edge-ipam/join
  DROP_IN=$ROOT/run/systemd/system/edgecore.service.d
  INTERFACE=edge-ipam0
  UNIT_NAME=edge-ipam-interface.service
  UNIT=$ROOT/etc/systemd/system/$UNIT_NAME
  START_SCRIPT=$ROOT/etc/local.d/edge-ipam.start

  parse_options "$@"
  shift "$OPTIONS"
  if [ $# -gt 0 ]; then shift; fi # the -- itself
  check_options
  load_token
  choose_client
  "$ACTION" "$@"
}

# In braces, so that a last line cut short is a syntax error and not a call without arguments.
{ main "$@"; }
