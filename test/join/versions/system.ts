/**
 * Stand-ins for programs of the device, as shell text. They keep what they are asked in `folder/state`: a line for each call,
 * words joined by one space. `tools` is where the tools of this machine are; the device's own PATH has only its own.
 */

/** systemctl for one unit, edgecore, and for what the script brings itself. What starts something is in systemd.mjs. */
export function systemctl(folder: string, node: string, systemd: string): string {
  return `
state='${folder}/state'
echo "$*" >>"$state/systemctl"
verb='' unit=''
for word in "$@"; do
  case $word in
    -q | --quiet) exec >/dev/null ;;
    --no-pager | --now) ;;
    -*) echo "systemctl: unrecognized option '$word'" >&2; exit 1 ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=\${word%.service}; fi ;;
  esac
done
case $verb:$unit in
  daemon-reload:)
    PATH=/usr/bin:/bin
    rm -rf "$state/loaded"
    mkdir "$state/loaded"
    cp -R '${folder}/etc/systemd/system' "$state/loaded/etc"
    cp -R '${folder}/run/systemd/system' "$state/loaded/run" ;;
  stop:edgecore) PATH=/usr/bin:/bin rm -f "$state/running" ;;
  start:?* | restart:?* | stop:?*) exec '${node}' '${systemd}' '${folder}' "$verb" "$unit" ;;
  enable:?*) : >"$state/enabled/$unit" ;;
  disable:?*) PATH=/usr/bin:/bin rm -f "$state/enabled/$unit" ;;
  is-active:edgecore) if [ -e "$state/running" ]; then echo active; else echo inactive; exit 3; fi ;;
  is-active:?*) echo inactive; exit 3 ;;
  *) echo "Unknown command verb $verb." >&2; exit 1 ;;
esac
`
}

/**
 * ip: links and addresses in folders (state/net/NAME with a file \`up\` and a file \`addresses\`), and a default route over eth0.
 * It refuses what iproute2 refuses.
 */
export function ip(folder: string): string {
  return `
PATH=/usr/sbin:/usr/bin:/sbin:/bin
net='${folder}/state/net'
echo "$*" >>'${folder}/state/ip'
family='' one=''
while :; do
  case $1 in
    -4 | -6) family=$1 ;;
    -o | -oneline) one=yes ;;
    -br | -brief) one=brief ;;
    -*) echo "Option \\"$1\\" is unknown, try \\"ip -help\\"." >&2; exit 255 ;;
    *) break ;;
  esac
  shift
done
object=$1 verb=\${2:-show}
shift; [ $# -eq 0 ] || shift
name='' address='' type='' state=''
while [ $# -gt 0 ]; do
  case $1 in
    dev | name) name=$2; shift ;;
    type) type=$2; shift ;;
    up | down) state=$1 ;;
    scope | metric | via | proto | mtu) shift ;;
    default) ;;
    *:*:* | *.*.*.*) address=$1 ;;
    *) name=$1 ;;
  esac
  shift
done
exists() { [ -d "$net/$name" ] || { echo "Device \\"$name\\" does not exist." >&2; exit 1; }; }
show_addresses() {
  number=1
  for path in "$net"/*; do
    number=$((number + 1)) device=\${path##*/}
    [ -z "$name" ] || [ "$name" = "$device" ] || continue
    if [ -e "$path/up" ]; then flags=UP,LOWER_UP; else flags=DOWN; fi
    [ -n "$one" ] || echo "$number: $device: <BROADCAST,$flags> mtu 1500 qdisc noqueue state UNKNOWN group default"
    while read -r address; do
      case $address in *:*) kind=inet6 wanted=-6 ;; *) kind=inet wanted=-4 ;; esac
      [ -z "$family" ] || [ "$family" = "$wanted" ] || continue
      if [ -n "$one" ]; then
        echo "$number: $device    $kind $address scope global $device\\\\       valid_lft forever preferred_lft forever"
      else
        echo "    $kind $address scope global $device"
        echo '       valid_lft forever preferred_lft forever'
      fi
    done <"$path/addresses"
  done
}
case $object:$verb in
  r*:show | r*:list) [ "$family" = -6 ] || echo 'default via 192.168.1.1 dev eth0 proto dhcp metric 100' ;;
  r*:get) echo "$address via 192.168.1.1 dev eth0 src 192.168.1.10 uid 0" ;;
  a*:show | a*:list) [ -z "$name" ] || exists; show_addresses ;;
  a*:add | a*:replace)
    exists
    case $address in */*) ;; *:*) address=$address/128 ;; *) address=$address/32 ;; esac
    if grep -q -x -F "$address" "$net/$name/addresses"; then
      [ "$verb" = replace ] || { echo 'RTNETLINK answers: File exists' >&2; exit 2; }
    else
      echo "$address" >>"$net/$name/addresses"
    fi ;;
  a*:del | a*:delete) exists; sed -i "\\\\|^$address\\(/.*\\)*\\$|d" "$net/$name/addresses" ;;
  a*:flush) exists; : >"$net/$name/addresses" ;;
  l*:show | l*:list) exists; echo "9: $name: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN mode DEFAULT group default" ;;
  l*:add)
    [ "$type" = dummy ] || { echo 'Error: Unknown device type.' >&2; exit 2; }
    [ "\${#name}" -le 15 ] || { echo 'Error: argument is wrong: "name" not a valid ifname' >&2; exit 255; }
    mkdir "$net/$name" 2>/dev/null || { echo 'RTNETLINK answers: File exists' >&2; exit 2; }
    : >"$net/$name/addresses" ;;
  l*:set) exists; case $state in up) : >"$net/$name/up" ;; down) rm -f "$net/$name/up" ;; esac ;;
  l*:del | l*:delete) exists; rm -r "\${net:?}/$name" ;;
  *) echo "Object \\"$object\\" is unknown, try \\"ip help\\"." >&2; exit 1 ;;
esac
`
}

/** keadm: what it only tells is told here, from `answers` (words → text), and the rest is done by keadm.mjs. */
export function keadm(folder: string, node: string, program: string, answers: Record<string, string>): string {
  const cases = Object.entries(answers).map(
    ([words, text]) => `  '${words}')
    echo '${JSON.stringify({ words: words.split(' '), code: 0, environment: '' })}' >>'${folder}/state/keadm'
    while IFS= read -r line; do printf '%s\\n' "$line"; done <<'TEXT'
${text}
TEXT
    ;;`,
  )
  return `
case "$*" in
${cases.join('\n')}
  *) exec '${node}' '${program}' '${folder}' "$@" ;;
esac
`
}
