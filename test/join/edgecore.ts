import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { type DeviceOptions, find, makeDevice } from './device.js'

/** What keadm makes of edgecore.yaml, with these two places for the address and the interface. */
const GENERATED = `apiVersion: edgecore.config.kubeedge.io/v1alpha2
kind: EdgeCore
modules:
  edgeHub:
    enable: true
  edged:
    enable: true
    hostnameOverride: $name
$ip$interface    tailoredKubeletConfig:
      clusterDNS:
      - 169.254.96.16
`

export interface EdgeOptions extends DeviceOptions {
  /** Started by systemd, or (as keadm does where there is none, or none that it sees) as a process of its own. */
  init?: 'systemd' | 'none' | 'unseen'
}

/**
 * A device whose keadm also does what comes after its flags: it writes edgecore.yaml with the host's own address, unless it was
 * told another, and starts edgecore. The edgecore notes the address of each start.
 */
export function makeEdge(t: Test, options: EdgeOptions = {}) {
  const { init = 'systemd', stubs = {}, ...rest } = options
  // Nothing is waited for, but a process that was just started.
  const sleep = 'left=200; until "$HOME/state/pidof" >/dev/null || [ $((left -= 1)) -lt 0 ]; do /bin/sleep 0.01; done\n'
  const device = makeDevice(t, { ...rest, stubs: { sleep: init === 'systemd' ? 'exit 0\n' : sleep, ...stubs } })
  const { folder, bin, config } = device
  const state = join(folder, 'state')
  const program = join(folder, 'usr/local/bin/edgecore')
  const pidof = join(state, 'pidof')
  for (const path of [state, dirname(program), join(folder, 'proc')]) mkdirSync(path, { recursive: true })
  const write = (path: string, text: string) => writeFileSync(path, `#!/bin/sh\n${text}`, { mode: 0o755 })

  // Programs of this machine, whatever PATH the script gives them.
  const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin\n'
  const start = `echo "$(sed -n 's/^    nodeIP: *//p' '${config}') $(sed -n 's/^    customInterfaceName: *//p' '${config}')" >>'${state}/starts'
[ ! -e '${state}/broken' ] || exit 1
`
  // Its name among the processes stays edgecore, and those of this device alone are in its /proc.
  symlinkSync(find('sleep')!, join(state, 'edgecore'))
  write(
    program,
    `${path}${start}ln -s /proc/$$ '${folder}/proc'\necho $$ >'${state}/pid'\nexec '${state}/edgecore' 100\n`,
  )
  write(
    pidof,
    `${path}{ read -r pid <'${state}/pid'; } 2>/dev/null || exit 1
grep -q '^State:.*[SRD] ' /proc/$pid/status 2>/dev/null && echo $pid\n`,
  )
  if (!options.without?.includes('pidof')) symlinkSync(pidof, join(bin, 'pidof'))
  if (init !== 'none') mkdirSync(join(folder, 'run/systemd/system'), { recursive: true })
  if (init === 'unseen') write(join(bin, 'systemctl'), '[ "$1" = daemon-reload ]\n')
  if (init === 'systemd') {
    write(
      join(bin, 'systemctl'),
      `${path}echo "$*" >>'${state}/systemctl'
case $* in
  'start edgecore')
    [ ! -e '${state}/running' ] || exit 0
    for file in '${folder}'/run/systemd/system/edgecore.service.d/*.conf; do
      [ -e "$file" ] || continue
      eval "$(sed -n 's/^ExecStartPre=//p' "$file")" >&2 || { echo 'Job for edgecore.service failed.' >&2; exit 1; }
    done
    ( ${start} ) || exit 0
    : >'${state}/running' ;;
  'stop edgecore') rm -f '${state}/running' ;;
  'is-active --quiet edgecore') [ -e '${state}/running' ] || exit 3 ;;
esac
`,
    )
  }
  write(
    join(folder, 'after-join'),
    `${path}set -- $(awk '/^----$/ { last = call; call = ""; next } { call = call " " $0 } END { print last }' '${folder}/keadm.args')
name='' ip=\${EDGE_OWN_ADDRESS-192.168.1.10} interface=''
for word in "$@"; do
  case $word in
    --edgenode-name=*) name=\${word#*=} ;;
    *modules.edged.nodeIP=*) ip=\${word##*nodeIP=} ip=\${ip%%,*} ;;
  esac
  case $word in *customInterfaceName=*) interface=\${word##*customInterfaceName=} interface=\${interface%%,*} ;; esac
  [ "$previous" != --edgenode-ip ] || ip=$word
  previous=$word
done
mkdir -p '${dirname(config)}'
ip=\${ip:+"    nodeIP: $ip
"} interface=\${interface:+"    customInterfaceName: $interface
"}
cat >'${config}' <<CONFIG
${GENERATED}CONFIG
if [ ${init} = systemd ]; then
  '${bin}/systemctl' daemon-reload && '${bin}/systemctl' enable edgecore && '${bin}/systemctl' start edgecore
else
  '${program}' >/dev/null 2>&1 </dev/null &
  until [ -e '${state}/starts' ]; do sleep 0.01; done
fi
`,
  )
  // As until 1.19: it does nothing where edgecore does not run.
  write(
    join(folder, 'reset'),
    `${path}if [ ! -e '${state}/running' ] && ! '${pidof}' edgecore >/dev/null; then
  echo 'None of KubeEdge components are running in this host, exit'
  exit 0
fi
rm -rf '${state}/running' '${folder}/etc/kubeedge'
! pid=$('${pidof}' edgecore) || kill $pid
`,
  )
  t.teardown(() => {
    const pid = existsSync(join(state, 'pid')) ? Number(readFileSync(join(state, 'pid'), 'utf8')) : 0
    try {
      if (pid > 1) process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  })

  const linesOf = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [])
  return {
    ...device,
    /** The address of every start of edgecore so far, with the interface's name where one is set. */
    starts: () => linesOf(join(state, 'starts')).map((line) => line.trim()),
    /** Every reset so far. */
    resets: () => linesOf(`${join(folder, 'keadm.args')}.reset`),
    systemctl: () => linesOf(join(state, 'systemctl')),
    /** keadm goes on to its end; the script that ran it is gone at once, and tidies nothing up. */
    killDuringJoin: () =>
      appendFileSync(join(folder, 'after-join'), 'kill -9 $(sed -n "s/^PPid:.//p" /proc/$PPID/status)\n'),
    dropIn: join(folder, 'run/systemd/system/edgecore.service.d/edge-ipam.conf'),
    isRunning: () => existsSync(join(state, 'running')),
    /** Ends edgecore, as a crash does; it starts again only if it is not `broken`. */
    crash: () => rmSync(join(state, 'running'), { force: true }),
    setBroken: (broken: boolean) =>
      broken ? writeFileSync(join(state, 'broken'), '') : rmSync(join(state, 'broken'), { force: true }),
    /** What keadm's version command prints. */
    setVersion: (tag: string) =>
      writeFileSync(
        join(folder, 'keadm-version'),
        `version: version.Info{Major:"1", GitVersion:"${tag}", GitCommit:""}\n`,
      ),
    readConfig: () => readFileSync(config, 'utf8'),
    appendConfig: (text: string) => appendFileSync(config, text),
    record: join(folder, 'var/lib/edge-ipam/join'),
    unit: join(folder, 'etc/systemd/system/edge-ipam-interface.service'),
  }
}
