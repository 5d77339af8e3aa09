
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
  # Only its own: another run may be in the middle of a join.
  [ -z "$DROPPED_IN" ] || take_drop_in_away
  drop_work_folder
}

make_work_folder() {
  WORK=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/edge-ipam-join.XXXXXX" 2>/dev/null) ||
    die 1 "cannot make a folder in ${TMPDIR:-/tmp}; free some space, or set TMPDIR to a folder that can be written"
  mkdir "$WORK/no-certificates"
}

drop_work_folder() {
  [ -z "$WORK" ] || rm -rf "$WORK"
  WORK=''
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
