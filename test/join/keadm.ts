import { chmodSync, writeFileSync } from 'node:fs'

/**
 * Which address flags a stand-in keadm has, as read in the sources:
 * - `set`: KubeEdge 1.18.0, `--set` once, the last one wins (keadm/cmd/keadm/app/cmd/edge/join_others.go)
 * - `flag`: KubeSphere's 1.9.2, `--edgenode-ip` and `-a` (keadm/cmd/keadm/app/cmd/edge/join.go)
 * - `both`: none known; a KubeSphere build of 1.18 or later would be one
 * - `neither`: KubeEdge 1.17
 *
 * What it does beside reading flags is in an edge device's after-join (edgecore.ts).
 */
export type KeadmKind = 'set' | 'flag' | 'both' | 'neither'

const COMMON = [
  ['', 'cgroupdriver', 'string', 'CGroupDriver that uses to manipulate cgroups on the host (cgroupfs or systemd)'],
  ['s', 'certport', 'string', 'The port where to apply for the edge certificate'],
  ['e', 'cloudcore-ipport', 'string', 'IP:Port address of KubeEdge CloudCore'],
  ['i', 'edgenode-name', 'string', 'KubeEdge Node unique identification string'],
  ['', 'kubeedge-version', 'string', 'Use this key to download and use the required KubeEdge version'],
  ['l', 'labels', 'strings', 'Use this key to set the customized labels for node, like key1=value1,key2=value2'],
  ['t', 'token', 'string', 'Used for edge to apply for the certificate'],
] as const

const SET = ['', 'set', 'string', 'Set values on the command line (key1=val1,key2=val2)'] as const
const NODE_IP = ['a', 'edgenode-ip', 'string', 'KubeEdge Node internal IP reported to K8s cluster'] as const

/**
 * Writes a keadm that knows the flags of its kind, refuses every other, and records its arguments (one a line) and its
 * environment beside `record`. `exit` makes its join fail after it has recorded.
 */
export function writeKeadm(path: string, kind: KeadmKind, record: string, exit = 0) {
  const flags = [
    ...COMMON,
    ...(kind === 'set' || kind === 'both' ? [SET] : []),
    ...(kind === 'flag' || kind === 'both' ? [NODE_IP] : []),
  ]
  const help = flags.map(
    ([short, long, type, text]) => `${short ? `  -${short}, ` : '      '}--${long} ${type}   ${text}`,
  )
  const names = flags.flatMap(([short, long]) => [`--${long}`, ...(short ? [`-${short}`] : [])])
  writeFileSync(
    path,
    `#!/bin/sh
case $1 in
  version) cat "$HOME/keadm-version" 2>/dev/null; exit ;;
  reset)
    if [ "$2" = --help ]; then echo 'Usage:'; echo '      --force   Reset the node without prompting'; exit; fi
    echo "$*" >>'${record}.reset'
    exec "$HOME/reset" ;;
  join) shift ;;
  *) echo "Error: unknown command: $1" >&2; exit 1 ;;
esac
if [ "$1" = --help ]; then
  cat <<'HELP'
Usage:
  keadm join [flags]

Flags:
${help.join('\n')}
  -h, --help   help for join
HELP
  exit 0
fi
env >'${record}.env'
printf '%s\\n' "$@" >>'${record}'
echo ---- >>'${record}'
while [ $# -gt 0 ]; do
  case $1 in
    ${names.map((name) => `${name}=*`).join(' | ')}) shift ;;
    ${names.join(' | ')}) shift; shift ;;
    *) echo "Error: unknown flag: $1" >&2; exit 1 ;;
  esac
done
[ ! -x "$HOME/after-join" ] || "$HOME/after-join"
exit ${exit}
`,
  )
  chmodSync(path, 0o755)
}
