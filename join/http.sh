
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

# request METHOD URL SECONDS: sends once, with the body in $WORK/body (if it is there) and If-Match from MEANT. Sets STATUS
# (000: no answer), RETRY_AFTER (seconds or empty) and REASON (why there was none), and leaves the answer in $WORK/answer.
# Returns 1 only if the certificate was not trusted.
request() {
  STATUS=000 RETRY_AFTER='' REASON=''
  : >"$WORK/answer"
  : >"$WORK/head"
  : >"$WORK/log"
  result=0
  "request_with_$CLIENT" "$1" "$2" "$3" || result=$?
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

# curl explains itself after the line with the reason. A wget with GnuTLS calls everything an error but a wrong name.
why() {
  {
    grep '^curl: (' "$WORK/log" ||
      grep -i -e fail -e unable -e error -e cannot -e refused -e expired "$WORK/log" || grep 'does not match' "$WORK/log"
  } | sed -e '$!d' -e 's/^curl: ([0-9]*) //' -e 's/^.*\.\.\. //' -e 's/[.;]*$//' || :
}

# The number in the answer's ETag.
etag() {
  sed -n 's/^ *[Ee][Tt][Aa][Gg]: *"\([0-9]*\)".*/\1/p' "$WORK/head" | sed -n '$p'
}

# curl reads the token and the body from its stdin. A here-document, since in some shells printf is a program with arguments.
# Where a certificate is given it is the only one that is trusted, not one more.
request_with_curl() {
  body=''
  if [ -e "$WORK/body" ]; then body=$(sed -e 's/[\\"]/\\&/g' -e 's/.*/data = "&"/' "$WORK/body"); fi
  condition=''
  if [ -n "$MEANT" ]; then condition="header = \"If-Match: \\\"$MEANT\\\"\""; fi
  failed=0
  curl -q -sS --globoff --connect-timeout 10 --max-time "$3" ${CA_FILE:+--cacert "$CA_FILE" --capath "$WORK/no-certificates"} \
    -X "$1" -o "$WORK/answer" -D "$WORK/head" -w '%{http_code}' -K - "$2" >"$WORK/status" 2>"$WORK/log" <<CONFIG || failed=$?
header = "Authorization: Bearer $TOKEN"
header = "Content-Type: application/json"
header = "Accept: $ACCEPT"
$condition
$body
CONFIG
  IFS= read -r STATUS <"$WORK/status" || :
  STATUS=${STATUS:-000}
  return "$failed"
}

# wget reads the token from a file in our own folder (mode 700). It must not follow a redirect: the token would go along.
request_with_wget() {
  condition=''
  if [ -n "$MEANT" ]; then condition="header = If-Match: \"$MEANT\""; fi
  (
    umask 077
    cat >"$WORK/wgetrc" <<CONFIG
header = Authorization: Bearer $TOKEN
header = Content-Type: application/json
header = Accept: $ACCEPT
$condition
content_on_error = on
max_redirect = 0
CONFIG
  )
  # Its POST is older than --method, which some devices' wget does not have.
  how=''
  if [ -e "$WORK/body" ]; then how=--post-file=$WORK/body; elif [ "$1" != GET ]; then how=--method=$1; fi
  failed=0
  wget --config="$WORK/wgetrc" --no-netrc --tries=1 --timeout="$3" --server-response ${how:+"$how"} \
    ${CA_FILE:+--ca-certificate="$CA_FILE" --ca-directory="$WORK/no-certificates"} \
    -O "$WORK/answer" -o "$WORK/log" "$2" || failed=$?
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

# ---------------------------------------------------------------------------------------------------- a pinned authority

# Finds the certificate with the fingerprint of --ca-sha256 among those that the service presents, and makes it CA_FILE. The
# chain is fetched unchecked; the requests are then checked against that certificate, the host's name included.
fetch_authority() {
  [ -n "$CA_SHA256" ] || return 0
  command -v openssl >/dev/null 2>&1 ||
    die $EX_CLIENT '--ca-sha256 needs openssl, which is not here; install it, or give the certificate itself with --ca-file FILE'
  host=${SERVER#https://} host=${host%%/*}
  case $host in
    *]) name=$host host=$host:443 ;;
    *]:*) name=${host%:*} ;;
    *:*) name=${host%:*} ;;
    *) name=$host host=$host:443 ;;
  esac
  attempt=0
  while ! fetch_chain; do
    STATUS=000
    REASON=$(sed -n 's/.*:\([A-Z][A-Za-z ]*\):[^:]*\.c:[0-9].*/\1/p' "$WORK/log" | sed 1q)
    wait_for_retry
  done
  for file in "$WORK"/chain-*; do
    found=$(openssl x509 -in "$file" -noout -fingerprint -sha256 2>/dev/null | sed 's/.*=//' | tr -d : | tr '[:upper:]' '[:lower:]')
    if [ "$found" = "$CA_SHA256" ]; then
      CA_FILE=$file
      return 0
    fi
  done
  die $EX_TLS "none of the $chain_length certificates that $SERVER presents has the fingerprint of --ca-sha256; check it, or have the service present its authority's certificate too, or give that with --ca-file FILE"
}

# Puts the certificates that the service presents into $WORK/chain-1, chain-2 …; fails if there is none.
fetch_chain() {
  case $name in
    \[*) server_name='' ;;
    *) if is_ipv4 "$name"; then server_name=''; else server_name=$name; fi ;;
  esac
  limit=''
  if timeout 15 true 2>/dev/null; then limit='timeout 15'; fi
  # shellcheck disable=SC2086 # two words or none
  $limit openssl s_client -showcerts -connect "$host" ${server_name:+-servername "$server_name"} \
    >"$WORK/answer" 2>"$WORK/log" </dev/null || :
  awk -v file="$WORK/chain-" '
    /^-----BEGIN CERTIFICATE-----/ { number++; inside = 1 }
    inside { print >(file number) }
    /^-----END CERTIFICATE-----/ { inside = 0 }' "$WORK/answer"
  chain_length=$(grep -c '^-----BEGIN CERTIFICATE-----' "$WORK/answer") || return 1
}
