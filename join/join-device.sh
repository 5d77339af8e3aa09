
# ------------------------------------------------------------------------------------------------------------------ join

# Sets WORK up and makes the service reachable in the way that the options say.
prepare_service() {
  make_work_folder
  start_clock
  fetch_authority
}

warn_of_plain_http() {
  case $SERVER in
    https://* | http://127.* | http://localhost | http://localhost[:/]* | 'http://[::1]'*) ;;
    *) say 'note: without https the token can be read on the way' ;;
  esac
}

join() {
  inspect_arguments "$@"
  settle_name
  settle_display_ip
  settle_uid
  inspect_keadm
  # A device that is set up may have lost its keadm, and needs none.
  [ -n "$DRY_RUN" ] || is_set_up || require_keadm
  [ "$WAY" = missing ] || [ "$WAY" = unknown ] || settle_interface
  warn_of_plain_http
  prepare_service

  if [ -n "$DRY_RUN" ]; then asking='would ask'; else asking=asking; fi
  say "$asking $SERVER for a unique IP $(describe_request)"
  look_up_node
  check_claim
  keep_display_ip
  allocate
  if [ -n "$DRY_RUN" ]; then
    say "would get $ADDRESS (asked with dryRun=true: nothing was kept)"
  else
    case $STATUS in 201) again='' ;; *) again=', as before' ;; esac
    say "$NODE_NAME has $ADDRESS$again"
  fi

  [ -n "$DRY_RUN" ] || take_drop_in_away
  if is_set_up; then
    remember_request
    if finish_earlier_join; then return 0; fi
  fi
  require_keadm
  if [ -n "$DRY_RUN" ]; then
    [ -z "$DUMMY" ] || say "would make the interface $INTERFACE with $ADDRESS, now and at every boot"
    run_keadm "$@"
    ! needs_edit || say "would set modules.edged.nodeIP: $ADDRESS in $CONFIG $(has_systemd && printf 'before systemd starts edgecore' || printf 'after keadm, edgecore stopped meanwhile')"
    return 0
  fi
  record joining
  [ -z "$DUMMY" ] || make_interface
  if needs_edit && has_systemd; then put_drop_in; fi
  run_keadm "$@"
  take_drop_in_away
  complete_join
}

# What this device got it is not warned of when it asks again, should it be stopped before it is set up with that.
remember_request() {
  [ -n "$DRY_RUN$HELD" ] || [ "$(recorded node)" = "$NODE_NAME" ] || record asked
}

# keadm cannot be told all of it.
needs_edit() {
  [ "$WAY" = edit ] || [ "$WAY$DUMMY" = flagyes ]
}

# Sees to it that edgecore.yaml says what it should, whatever keadm and systemd made of it.
complete_join() {
  make_work_folder
  if is_set_up; then
    if ! is_configured; then change_edgecore; fi
  elif [ "$WAY" = edit ]; then
    die $EX_EDIT "keadm join wrote no $CONFIG; set modules.edged.nodeIP: $ADDRESS where edgecore reads it, and restart edgecore"
  fi
  record joined
  say "$NODE_NAME joined with $ADDRESS"
}

is_configured() {
  [ "$(setting nodeIP)" = "$ADDRESS" ] || return 1
  [ -z "$DUMMY" ] || [ "$(setting customInterfaceName)" = "$INTERFACE" ]
}

# For a device that has an edgecore.yaml. Returns 1 if keadm has to run after all.
finish_earlier_join() {
  configured=$(setting nodeIP)
  if [ "$configured" = "$ADDRESS" ]; then
    finish_configured
    return
  fi
  # A file that says nothing, and no edgecore: keadm may judge it.
  if [ -z "$configured" ] && ! is_edgecore_running; then return 1; fi
  if [ -z "$READDRESS" ] && ! is_unfinished; then
    die $EX_OTHER "this device is set up with ${configured:-its own address} ($CONFIG), and $NODE_NAME has $ADDRESS; add --readdress to set that and restart edgecore"
  fi
  if [ -n "$DRY_RUN" ]; then
    say "would set modules.edged.nodeIP: $ADDRESS instead of ${configured:-its own address} in $CONFIG, and restart edgecore"
    return 0
  fi
  [ -z "$DUMMY" ] || make_interface
  change_edgecore
  record joined
  say "$NODE_NAME has now $ADDRESS instead of ${configured:-its own address} ($CONFIG)"
}

# keadm was started by this script, which did not live to see its end.
is_unfinished() {
  [ "$(recorded step)" = joining ] && [ "$(recorded address)" = "$ADDRESS" ]
}

finish_configured() {
  if [ "$(setting customInterfaceName)" = "$INTERFACE" ]; then
    DUMMY=yes
    if ! carries_address && [ -z "$DRY_RUN" ]; then make_interface; fi
  elif [ -n "$DUMMY" ] && [ -z "$DRY_RUN" ]; then
    make_interface
    change_edgecore
  fi
  if is_edgecore_running; then
    [ -n "$DRY_RUN" ] || record joined
    say "$NODE_NAME is already set up with $ADDRESS ($CONFIG); nothing to do"
    return 0
  fi
  if [ -n "$DRY_RUN" ]; then
    say "would start edgecore, which is set up with $ADDRESS ($CONFIG) and does not run"
    return 0
  fi
  say "$NODE_NAME is set up with $ADDRESS ($CONFIG), but edgecore does not run: starting it"
  start_edgecore ||
    die $EX_NOT_RUNNING "edgecore does not stay up; see $(where_edgecore_logs), or undo the join with --uninstall and run this again"
  record joined
  say "$NODE_NAME joined with $ADDRESS"
}
