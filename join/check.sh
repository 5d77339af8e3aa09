
# ----------------------------------------------------------------------------------------------------------------- check

# Says whether this device has the address it should. The service is asked only if there is something to compare.
check() {
  is_set_up || die $EX_NOT_JOINED "this device is not joined (there is no $CONFIG); run this without --check"
  settle_name
  configured=$(setting nodeIP)
  running=''
  if is_edgecore_running; then running=yes; fi
  [ -n "$configured$running" ] ||
    die $EX_NOT_JOINED "this device is not joined ($CONFIG sets no address, edgecore does not run); run this without --check"
  warn_of_plain_http
  prepare_service
  ACCEPT=text/plain
  ask GET "/v1/nodes/$NODE_NAME/unique-ip"
  case $STATUS$(problem_field code) in
    200*) ;;
    404node_not_found)
      die $EX_OTHER "$NODE_NAME holds no address, and this device is set up with ${configured:-its own}, which others may have by now; run this without --check, with --readdress" ;;
    *) refuse ;;
  esac
  read_address
  [ "$configured" = "$ADDRESS" ] ||
    die $EX_OTHER "this device is set up with ${configured:-its own address} ($CONFIG), and $NODE_NAME has $ADDRESS; run this without --check, with --readdress"
  if [ "$(setting customInterfaceName)" = "$INTERFACE" ]; then
    carries_address || die $EX_NOT_RUNNING "no interface $INTERFACE carries $ADDRESS; run this without --check"
  fi
  [ -n "$running" ] || die $EX_NOT_RUNNING "this device is set up with $ADDRESS ($CONFIG), but edgecore does not run; run this without --check"
  say "$NODE_NAME has $ADDRESS, as it should"
}

# ------------------------------------------------------------------------------------------------------------- uninstall

# Undoes a join as far as it was done. What this device had is looked up before it is wiped out.
uninstall() {
  if is_set_up || [ -n "$NODE_NAME$(recorded node)" ]; then settle_name; fi
  ADDRESS=$(setting nodeIP)
  if [ "$(recorded node)" = "$NODE_NAME" ]; then
    ADDRESS=$(recorded address)
    SEQUENCE=$(recorded sequence)
  fi
  [ -n "$DRY_RUN" ] || take_drop_in_away
  if is_set_up; then
    inspect_keadm
    require_keadm
    reset_device
    remove_leftovers
  else
    say 'nothing is set up here'
  fi
  if [ -z "$DRY_RUN" ]; then
    remove_interface
  elif [ -e "$UNIT" ] || [ -e "$START_SCRIPT" ] || has_interface; then
    say "would remove the interface $INTERFACE"
  fi
  if [ -z "$ADDRESS" ]; then
    say 'this device has no memory of an address; nothing is released'
    return 0
  fi
  release
}

# `keadm reset` leaves everything where edgecore was not running. A cloudcore on the same host keeps its files.
remove_leftovers() {
  [ -z "$DRY_RUN" ] && [ -e "$CONFIG" ] || return 0
  folder=$ROOT/etc/kubeedge
  [ ! -e "$folder/config/cloudcore.yaml" ] ||
    die $EX_RESET "keadm reset left $CONFIG, and this host has a cloudcore too; remove what belongs to edgecore in $folder"
  stop_edgecore >/dev/null 2>&1 || :
  if has_unit; then
    systemctl disable edgecore >/dev/null 2>&1 || :
    rm -f "$ROOT/etc/systemd/system/edgecore.service"
    systemctl daemon-reload || :
  fi
  rm -rf "$folder" || die $EX_RESET "$folder could not be removed; run this as root"
  say "removed $folder, which keadm reset leaves where edgecore does not run"
}

# Gives the address back, if the token may: only the very allocation that this device had, never what the name has got since.
release() {
  [ -n "$DRY_RUN" ] || record left
  lacking=''
  [ -n "$TOKEN" ] || lacking='a token'
  [ -n "$SERVER" ] || lacking="${lacking:+$lacking and }a server"
  if [ -n "$lacking" ]; then
    say "without $lacking $ADDRESS of $NODE_NAME is not released. Once the node is gone from the cluster, an administrator does it:"
    tell_administrator
    return 0
  fi
  warn_of_plain_http
  prepare_service
  if [ -z "$SEQUENCE" ]; then
    ACCEPT=text/plain
    ask GET "/v1/nodes/$NODE_NAME/unique-ip"
    case $STATUS in
      200) [ "$(sed 1q "$WORK/answer")" != "$ADDRESS" ] || SEQUENCE=$(etag) ;;
      404) ;;
      *) refuse ;;
    esac
    [ -n "$SEQUENCE" ] || { released_already; return 0; }
  fi
  ACCEPT=application/json
  MEANT=$SEQUENCE
  ask DELETE "/v1/nodes/$NODE_NAME/allocation${DRY_RUN:+?dryRun=true}"
  case $STATUS$(problem_field code) in
    200*)
      say "${DRY_RUN:+would have }released $ADDRESS of $NODE_NAME"
      forget
      ;;
    404allocation_not_found | 404node_not_found | 412*) released_already ;;
    409*)
      say "$NODE_NAME is still registered: $ADDRESS stays its own. Remove it from the cluster and release the address with an administrator's token:"
      tell_administrator
      ;;
    # A listener for devices has no such route.
    404route_not_found | 405*)
      say "$SERVER does not release, it is for devices. Once the node is gone from the cluster, an administrator releases $ADDRESS of $NODE_NAME at the service's own URL:"
      SERVER=''
      tell_administrator
      ;;
    403*)
      say "this token may not release $ADDRESS of $NODE_NAME. Once the node is gone from the cluster, an administrator does it:"
      tell_administrator
      ;;
    *) refuse ;;
  esac
}

released_already() {
  say "$NODE_NAME does not hold $ADDRESS any more; nothing to release"
  forget
}

# SEQUENCE stands for the number that GET /v1/nodes/{name} shows, where this device does not know it; SERVER and CA_FILE for
# what an administrator knows.
tell_administrator() {
  printf '  %s\n' "kubectl delete node $NODE_NAME" \
    "curl -fsS ${CA_FILE:+--cacert CA_FILE }-X DELETE -H \"Authorization: Bearer \$EDGE_IPAM_ADMIN_TOKEN\" -H 'If-Match: \"${SEQUENCE:-SEQUENCE}\"' $(quote "${SERVER:-SERVER}/v1/nodes/$NODE_NAME/allocation?force=true")"
}

forget() {
  [ -n "$DRY_RUN" ] || rm -f "$RECORD"
}
