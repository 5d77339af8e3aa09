import { spawnSync } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startService } from '../support/service.js'
import { find, makeDevice, missing, SCRIPT, SHELLS, TOKEN } from './device.js'
import { startTrouble, text } from './trouble.js'

// The display IP that is sent when none was given.

const env = { EDGE_IPAM_TOKEN: TOKEN }

/** What `ip` prints on a device, by its arguments; the forms of iproute2 and of busybox differ in blanks and fields. */
const ip = (routes4: string, addresses: Record<string, string>, routes6 = '') => ({
  ip: `case "$*" in
'-4 route show') printf '${routes4}' ;;
'-6 route show') printf '${routes6}' ;;
${Object.entries(addresses)
  .map(([key, line]) => `'-o ${key[0] === '6' ? '-6' : '-4'} addr show dev ${key.slice(2)}') printf '${line}' ;;`)
  .join('\n')}
*) exit 1 ;;
esac
`,
})

const inet = (address: string) =>
  `2: x    inet ${address}/24 brd 192.168.1.255 scope global dynamic x\\\\       valid_lft 1sec\\n`

const DEVICES: [string, Record<string, string>, string | undefined][] = [
  [
    'one default route',
    ip('default via 192.168.1.1 dev eth0 \\n192.168.1.0/24 dev eth0 scope link\\n', { '4 eth0': inet('192.168.1.10') }),
    '192.168.1.10',
  ],
  [
    'the route with the lowest metric, however they are listed',
    ip('default via 10.9.0.1 dev wlan0  metric 600 \\ndefault via 192.168.1.1 dev eth0  metric 100 \\n', {
      '4 wlan0': inet('10.9.0.5'),
      '4 eth0': inet('192.168.1.10'),
    }),
    '192.168.1.10',
  ],
  [
    'never a container bridge',
    ip(
      'default via 172.17.0.9 dev docker0\\ndefault via 172.18.0.1 dev br-0123456789ab metric 5\\ndefault via 192.168.1.1 dev br-lan metric 50\\n',
      {
        '4 docker0': inet('172.17.0.1'),
        '4 br-0123456789ab': inet('172.18.0.1'),
        '4 br-lan': inet('192.168.1.10'),
      },
    ),
    '192.168.1.10',
  ],
  [
    'only container bridges: none',
    ip('default via 10.244.0.1 dev cni0\\n', { '4 cni0': inet('10.244.0.1') }),
    undefined,
  ],
  [
    'a route over several ways',
    ip(
      'default proto static metric 20 \\n\\tnexthop via 192.168.1.1 dev eth0 weight 1 \\n10.0.0.0/8\\n\\tnexthop via 10.9.0.1 dev wlan0 weight 1\\n',
      {
        '4 eth0': inet('192.168.1.10'),
        '4 wlan0': inet('10.9.0.5'),
      },
    ),
    '192.168.1.10',
  ],
  [
    'IPv6 alone: the lasting global address',
    ip(
      '',
      {
        '6 eth0':
          '2: eth0    inet6 fd00::dead/64 scope global temporary dynamic \\n2: eth0    inet6 fd00::10/64 scope global \\n2: eth0    inet6 fe80::1/64 scope link \\n',
      },
      'default via fe80::1 dev eth0 metric 1024 pref medium\\n',
    ),
    'fd00::10',
  ],
  [
    'no default route: none',
    ip('192.168.1.0/24 dev eth0 scope link\\n', { '4 eth0': inet('192.168.1.10') }),
    undefined,
  ],
  ['an interface without an address: none', ip('default via 192.168.1.1 dev ppp0\\n', { '4 ppp0': '' }), undefined],
  [
    'without ip: route and ifconfig (net-tools)',
    {
      route: `printf 'Kernel IP routing table\\nDestination Gateway Genmask Flags Metric Ref Use Iface\\n0.0.0.0 172.17.0.9 0.0.0.0 UG 0 0 0 docker0\\n0.0.0.0 192.168.1.1 0.0.0.0 UG 100 0 0 eth0\\n'\n`,
      ifconfig: `printf '%s: flags=4163<UP>  mtu 1500\\n        inet 192.168.1.10  netmask 255.255.255.0  broadcast 192.168.1.255\\n' "$1"\n`,
    },
    '192.168.1.10',
  ],
  [
    'without ip: route and ifconfig (busybox)',
    {
      route: `printf 'Destination Gateway Genmask Flags Metric Ref Use Iface\\n0.0.0.0 192.168.1.1 0.0.0.0 UG 100 0 0 eth0\\n'\n`,
      ifconfig: `printf '%s      Link encap:Ethernet\\n          inet addr:192.168.1.10  Bcast:192.168.1.255  Mask:255.255.255.0\\n' "$1"\n`,
    },
    '192.168.1.10',
  ],
  ['without any of them: none', {}, undefined],
]

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, '10.213.0.7\n')])
    const args = ['--server', url, '--node-name', 'edge-1']

    for (const [name, stubs, expected] of DEVICES) {
      t.test(name, async (t) => {
        const device = makeDevice(t, { shell, stubs, without: ['ip', 'route', 'ifconfig'] })
        t.match(await device.run(args, { env }), { code: 0, stderr: '' })
        t.equal(JSON.parse(seen.at(-1)!.body).displayIp, expected)
      })
    }

    t.test('on this machine: an address that it has, or none', async (t) => {
      const device = makeDevice(t, { shell })
      t.match(await device.run(args, { env }), { code: 0, stderr: '' })
      const own = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? [])
      const { displayIp } = JSON.parse(seen.at(-1)!.body)
      t.ok(displayIp === undefined || own.includes(displayIp), String(displayIp))
    })
  })
}

t.test('one that was found out is only for a node that has none; --display-ip changes it', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.213.0.0/16' } })
  const { secret } = (await service.call('POST', '/v1/tokens', { role: 'join', namePattern: '*' })).body
  for (const shell of SHELLS) {
    if (missing(shell, 'curl')) continue
    const node = `/v1/nodes/shown-${shell}`
    const displayIp = async () => (await service.call('GET', node)).body.displayIp
    const stubs = ip('default via 192.168.1.1 dev eth0\\n', { '4 eth0': inet('192.168.1.10') })
    const device = makeDevice(t, { shell, stubs })
    const run = (...more: string[]) =>
      device.run(['--server', service.url, '--node-name', `shown-${shell}`, ...more], {
        env: { EDGE_IPAM_TOKEN: secret },
      })

    t.match(await run(), { code: 0, stderr: '' })
    t.equal(await displayIp(), '192.168.1.10')
    t.notMatch((await run()).stdout, 'keeps', 'it is the same')
    t.equal((await service.call('PATCH', node, { displayIp: '172.20.0.5' })).status, 200)
    t.match(await run(), {
      code: 0,
      stderr: '',
      stdout: `shown-${shell} keeps its display IP 172.20.0.5; --display-ip changes it\n`,
    })
    t.equal(await displayIp(), '172.20.0.5')
    t.match(await run('--display-ip', '192.168.1.11'), { code: 0, stderr: '' })
    t.equal(await displayIp(), '192.168.1.11')
    t.equal((await service.call('PATCH', node, { displayIp: null })).status, 200)
    t.match(await run(), { code: 0, stderr: '' })
    t.equal(await displayIp(), '192.168.1.10')
  }
})

const canMakeNetworks =
  find('unshare') &&
  find('ip') &&
  spawnSync('unshare', ['-rn', 'ip', 'link', 'add', 'b0', 'type', 'bridge']).status === 0

t.test(
  'in a network of its own, with real bridges',
  { skip: canMakeNetworks ? false : 'no network namespaces here' },
  async (t) => {
    for (const shell of SHELLS) {
      if (missing(shell, 'curl')) continue
      const device = makeDevice(t, { shell })
      // Nothing can be reached from in there: what would be asked for is said before the service is missed.
      const script = `
      ip=${find('ip')}
      for each in docker0=172.17.0.1=10 br-lan=192.168.1.10=50 eth0=10.9.0.5=100; do
        name=\${each%%=*} rest=\${each#*=}
        $ip link add "$name" type bridge && $ip addr add "\${rest%=*}/24" dev "$name" && $ip link set "$name" up
        $ip route add default via "\${rest%.*}.254" dev "$name" metric "\${rest#*=}"
      done
      PATH=${device.bin} exec ${shell === 'busybox' ? `${find('busybox')} sh` : find(shell)} ${SCRIPT} \\
        --server http://127.0.0.1:1 --timeout 0 --node-name edge-1`
      const result = spawnSync('unshare', ['-rn', 'sh', '-c', script], {
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          TMPDIR: device.temporary,
          EDGE_IPAM_TOKEN: TOKEN,
          EDGE_IPAM_EDGECORE_CONFIG: join(device.folder, 'none'),
        },
      })
      t.equal(result.status, 5, result.stderr)
      t.match(result.stdout, 'display IP 192.168.1.10 (if it has none yet)\n', shell)
    }
  },
)
