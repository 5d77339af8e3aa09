
# ----------------------------------------------------------------------------------------------------------- the service

start_clock() {
  deadline=$(($(now) + TIMEOUT))
}

# ask METHOD PATH [BODY]: requests until there is an answer that means something or the time is over. What is asked here is
# safe to ask again, whatever became of the last request.
ask() {
  if [ $# -eq 3 ]; then printf '%s' "$3" >"$WORK/body"; else rm -f "$WORK/body"; fi
  attempt=0
  while :; do
    left=$((deadline - $(now)))
    limit=30
    if [ "$TIMEOUT" -gt 0 ] && [ "$left" -lt "$limit" ]; then limit=$left; fi
    if [ "$limit" -lt 1 ]; then limit=1; fi
    request "$1" "$SERVER$2" "$limit" || die $EX_TLS "the certificate of $SERVER is not trusted${REASON:+ ($REASON)}; $(trust_advice)"
    case $STATUS in
      000 | 429 | 500 | 502 | 503 | 504) wait_for_retry ;;
      *) break ;;
    esac
  done
}

# What helps against the REASON: another authority makes a certificate neither younger nor one for another name.
trust_advice() {
  case $REASON in
    *expired* | *'not yet'*) printf '%s' "set this device's clock, or have the certificate renewed" ;;
    *'host name'* | *hostname* | *'subject name'* | *'subject alternative name'*)
      printf '%s' 'give --server the name that the certificate is for'
      ;;
    *) printf '%s' 'give its authority with --ca-file FILE, or --ca-sha256' ;;
  esac
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

# Ends if the last answer is a refusal that is the same for every question.
refuse() {
  case $STATUS in
    401) die $EX_UNAUTHORIZED "the token was refused: $(problem); ask the administrator whether it is still good, or for another" ;;
    403) die $EX_FORBIDDEN "this token may not allocate for $NODE_NAME: $(problem); use a join token whose name pattern fits, or another --node-name" ;;
    404) die $EX_NOT_FOUND "no address for $NODE_NAME${POOL:+ in pool $POOL}: $(problem); check --pool, --label and --server" ;;
    409) die $EX_CONFLICT "no address for $NODE_NAME${POOL:+ in pool $POOL}: $(problem); an administrator has to look at the pool, or at what the node holds" ;;
    4??) die $EX_REFUSED "the request was refused: $(problem); correct the options, see --help" ;;
    3??) die $EX_ANSWER "$SERVER redirects ($STATUS), and the token is not sent on; give --server the URL that it redirects to" ;;
    *) die $EX_ANSWER "$SERVER answered $STATUS, which is not understood; check that --server is the IPAM service" ;;
  esac
}

# ------------------------------------------------------------------------------------------------------- who has the name

# Sets HELD to the address that the name has now (empty: none), and HELD_STATE, HELD_UID, HELD_DISPLAY_IP.
look_up_node() {
  HELD='' HELD_STATE='' HELD_UID='' HELD_DISPLAY_IP=''
  ACCEPT=application/json
  ask GET "/v1/nodes/$NODE_NAME"
  case $STATUS$(problem_field code) in
    200*) ;;
    404node_not_found) return 0 ;;
    *) refuse ;;
  esac
  HELD=$(node_field uniqueIp)
  HELD_STATE=$(node_field state)
  HELD_UID=$(node_field nodeUid)
  HELD_DISPLAY_IP=$(node_field displayIp)
}

# A text field of the node in the answer. Labels come last and may have any key, so that they are cut off.
node_field() {
  tr '\n' ' ' <"$WORK/answer" | sed -e 's/,"labels":{.*//' | sed -n "s/.*\"$1\":\"\\([^\"\\\\]*\\)\".*/\\1/p"
}

# Two devices of one name would have one address, and each would cut the other's tunnel. So a name that holds an address is
# not taken silently by a device that has no memory of it, unless there is a sign that this is meant.
check_claim() {
  # A UID of another kind is the cluster's own: it tells Node objects apart, not devices, and is not overwritten.
  case $NODE_UID/$HELD_UID in
    hardware-*/ | hardware-*/hardware-*) ;;
    hardware-*/*) NODE_UID='' ;;
  esac
  [ -n "$HELD" ] && [ -z "$TAKE_OVER" ] || return 0
  if [ -n "$NODE_UID" ] && [ -n "$HELD_UID" ]; then
    [ "$NODE_UID" != "$HELD_UID" ] || return 0
    taken "with the UID $HELD_UID, and this one is $NODE_UID"
  fi
  if [ "$(recorded node)" = "$NODE_NAME" ] || [ "$(setting nodeIP)" = "$HELD" ]; then return 0; fi
  if [ "$HELD_STATE" = registered ]; then taken 'and this one has no memory of that'; fi
  if [ -n "$GUESSED" ]; then taken "and the name is only this host's; other hosts may have the same"; fi
  say "note: $NODE_NAME has $HELD already; if another device uses this name, stop now and give one of them another"
}

taken() {
  die $EX_TAKEN "another device has $HELD as $NODE_NAME, $1; give this device another --node-name, or add --take-over if it was re-imaged or replaces that one"
}

# ------------------------------------------------------------------------------------------------------------ allocation

# An operator or the console may have set the one that the node has: a guess must not replace it.
keep_display_ip() {
  [ -n "$DISPLAY_IP_GUESSED" ] && [ -n "$HELD_DISPLAY_IP" ] || return 0
  [ "$DISPLAY_IP" = "$HELD_DISPLAY_IP" ] || say "$NODE_NAME keeps its display IP $HELD_DISPLAY_IP; --display-ip changes it"
  DISPLAY_IP=''
}

allocation_body() {
  printf '{"nodeName":"%s"' "$NODE_NAME"
  [ -z "$DISPLAY_IP" ] || printf ',"displayIp":"%s"' "$DISPLAY_IP"
  [ -z "$POOL" ] || printf ',"pool":"%s"' "$POOL"
  [ -z "$NODE_UID" ] || printf ',"nodeUid":"%s"' "$NODE_UID"
  [ -z "$LABELS" ] || printf ',"labels":{%s}' "$LABELS"
  printf '}'
}

# Sets ADDRESS, SEQUENCE and STATUS. Allocation is idempotent by node name.
allocate() {
  ACCEPT=text/plain
  ask POST "/v1/allocations${DRY_RUN:+?dryRun=true}" "$(allocation_body)"
  case $STATUS in 200 | 201) ;; *) refuse ;; esac
  read_address
  # Many hosts of one name may ask at once: this one was the first only if its address is new, or if an answer was lost.
  if [ "$STATUS" = 200 ] && [ -z "$HELD$TAKE_OVER" ] && [ "$attempt" -eq 0 ]; then
    HELD=$ADDRESS
    taken 'since a moment ago'
  fi
}

# Turns the last answer into ADDRESS and SEQUENCE, or ends.
read_address() {
  ADDRESS='' more=''
  { IFS= read -r ADDRESS || :; IFS= read -r more || :; } <"$WORK/answer"
  if [ -n "$more" ] || ! is_ip "$ADDRESS"; then
    die $EX_ANSWER "$SERVER answered $STATUS with something that is not an address; check that --server is the IPAM service"
  fi
  SEQUENCE=$(etag)
}

describe_request() {
  printf '%s' "for node $NODE_NAME, display IP ${DISPLAY_IP:-none}${DISPLAY_IP_GUESSED:+ (if it has none yet)}${POOL:+, pool $POOL}${LABELS:+, labels $(printf '%s' "$LABELS" | tr -d '"' | tr : =)}${NODE_UID:+, UID $NODE_UID}"
}
