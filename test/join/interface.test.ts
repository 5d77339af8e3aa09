import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { find, missing, SCRIPT, SHELLS, TOKEN } from './device.js'
import { type EdgeOptions, makeEdge } from './edgecore.js'
import { startTrouble, text } from './trouble.js'

// The dummy interface, for edgecores that refuse an address that no interface carries.

const IP = '10.213.0.7'
const env = { EDGE_IPAM_TOKEN: TOKEN }

/** An ip that keeps one interface's address in a file, and what it was asked. */
const ip = `PATH=/usr/bin:/bin
echo "$*" >>"$HOME/ip"
link="$HOME/state/link"
case $* in
  'link show edge-ipam0' | 'addr flush dev edge-ipam0' | 'link set edge-ipam0 up') [ -e "$link" ] ;;
  'link add edge-ipam0 type dummy') : >"$link" ;;
  'addr add '*' dev edge-ipam0') echo "5: edge-ipam0 inet $3 scope global" >"$link" ;;
  '-o addr show dev edge-ipam0') cat "$link" ;;
  'link del edge-ipam0') rm "$link" ;;
esac
`

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url } = await startTrouble(t, [text(201, `${IP}\n`)])
    const args = ['--server', url, '--node-name', 'edge-1']
    const makeDevice = (options: EdgeOptions = {}) =>
      makeEdge(t, { shell, keadm: 'neither', stubs: { ip }, ...options })

    t.test('which versions have it: 1.12.0 and 1.12.1, and who asks for it', async (t) => {
      const cases: [string, string[], string[], boolean][] = [
        ['v1.12.0', [], [], true],
        ['v1.12.1', [], [], true],
        ['v1.12.1-ks.2', [], [], true],
        ['v1.12.2', [], [], false],
        ['v1.12.10', [], [], false],
        ['v1.11.12', [], [], false],
        ['v1.17.0', [], [], false],
        // What is installed counts, not what installs it.
        ['v1.12.3', [], ['--kubeedge-version=1.12.1'], true],
        ['v1.12.3', [], ['--kubeedge-version', 'v1.12.0'], true],
        ['v1.12.0', [], ['--kubeedge-version=v1.12.4'], false],
        ['v1.6.2', ['--dummy-interface'], [], true],
      ]
      for (const [version, options, extra, has] of cases) {
        const device = makeDevice()
        device.setVersion(version)
        const result = await device.run([...args, ...options, '--', ...extra], { env })
        t.match(result, { code: 0, stderr: '' }, version)
        t.notMatch(result.stdout, 'tells no version')
        t.strictSame(device.starts(), [has ? `${IP} edge-ipam0` : IP], `${version} ${extra}`)
        t.equal(existsSync(device.unit), has)
      }
      const unknown = await makeDevice().run(args, { env })
      t.match(
        unknown.stdout,
        /^join\.sh: note: keadm tells no version; if it is 1\.12\.0 or 1\.12\.1, add --dummy-interface\n/,
      )
      t.match(unknown, { code: 0 })
    })

    t.test('with every way to set the address', async (t) => {
      const joins = {
        neither: ['--edgenode-name=edge-1'],
        flag: ['--edgenode-name=edge-1', '--edgenode-ip', IP],
        set: [
          '--edgenode-name=edge-1',
          '--set',
          `modules.edged.nodeIP=${IP},modules.edged.customInterfaceName=edge-ipam0,a.b=1`,
        ],
      }
      for (const keadm of ['neither', 'flag', 'set'] as const) {
        const device = makeDevice({ keadm })
        const extra = keadm === 'set' ? ['--', '--set', 'a.b=1'] : []
        t.match(await device.run([...args, '--dummy-interface', ...extra], { env }), { code: 0, stderr: '' }, keadm)
        t.strictSame(device.joins(), [joins[keadm]])
        t.strictSame(device.starts(), [`${IP} edge-ipam0`], `${keadm}: before edgecore's first start`)
        t.match(await device.run(args, { env }), { code: 0, stdout: /nothing to do\n$/ })
        t.match(
          await device.run(['--check', '--server', (await startTrouble(t, [text(200, `${IP}\n`)])).url], { env }),
          {
            code: 0,
          },
        )
      }
    })

    t.test('it is there before keadm runs, and at every boot before edgecore', async (t) => {
      const device = makeDevice({ keadmExit: 1 })
      t.match(await device.run([...args, '--dummy-interface'], { env }), { code: 16 })
      const asked = readFileSync(join(device.folder, 'ip'), 'utf8').split('\n')
      t.match(asked.slice(-5), [
        'link add edge-ipam0 type dummy',
        'addr flush dev edge-ipam0',
        `addr add ${IP}/32 dev edge-ipam0`,
        'link set edge-ipam0 up',
      ])
      const unit = readFileSync(device.unit, 'utf8')
      t.match(unit, `ExecStart=-${device.bin}/ip addr add ${IP}/32 dev edge-ipam0\n`)
      t.match(unit, 'Before=edgecore.service\n')
      t.match(device.systemctl().join('\n'), 'daemon-reload\nenable edge-ipam-interface.service')
      if (find('systemd-analyze')) {
        const verified = spawnSync('systemd-analyze', ['verify', '--man=no', device.unit], { encoding: 'utf8' })
        t.notMatch(verified.stderr, /edge-ipam-interface\.service:\d+/, 'systemd understands each line')
      }
    })

    t.test('without systemd: the start scripts of OpenRC, or the commands are said', async (t) => {
      const openrc = makeDevice({ init: 'none' })
      mkdirSync(join(openrc.folder, 'etc/local.d'), { recursive: true })
      t.match(await openrc.run([...args, '--dummy-interface'], { env }), { code: 0, stderr: '' })
      t.equal(
        readFileSync(join(openrc.folder, 'etc/local.d/edge-ipam.start'), 'utf8'),
        `#!/bin/sh\nip link add edge-ipam0 type dummy\nip addr add ${IP}/32 dev edge-ipam0\nip link set edge-ipam0 up\n`,
      )
      t.match(await openrc.run(['--uninstall'], {}), { code: 0, stderr: '' })
      t.notOk(existsSync(join(openrc.folder, 'etc/local.d/edge-ipam.start')))

      const { stdout } = await makeDevice({ init: 'none' }).run([...args, '--dummy-interface'], { env })
      t.match(
        stdout,
        /note: this device has no systemd; have this run at every boot before edgecore: ip link add .* up;/,
      )
    })

    t.test('it goes at --uninstall, and comes back when it is missing', async (t) => {
      const device = makeDevice()
      const link = join(device.folder, 'state/link')
      await device.run([...args, '--dummy-interface'], { env })
      spawnSync('rm', [link])
      const check = ['--check', '--server', (await startTrouble(t, [text(200, `${IP}\n`)])).url]
      t.match(await device.run(check, { env }), {
        code: 19,
        stderr: /no interface edge-ipam0 carries 10\.213\.0\.7; run/,
      })
      t.match(await device.run(args, { env }), { code: 0, stdout: /nothing to do/ })
      t.match(await device.run(check, { env }), { code: 0 })
      t.match(await device.run(['--uninstall', '--dry-run'], {}), {
        code: 0,
        stdout: /would remove the interface edge-ipam0/,
      })
      t.ok(existsSync(link))
      t.match(await device.run(['--uninstall'], {}), { code: 0, stderr: '' })
      t.notOk(existsSync(link))
      t.notOk(existsSync(device.unit))
      t.match(device.systemctl().join('\n'), 'disable edge-ipam-interface.service')
    })

    t.test('a device that is joined gets one when it is asked for', async (t) => {
      const device = makeDevice()
      await device.run(args, { env })
      t.match(await device.run([...args, '--dummy-interface'], { env }), { code: 0, stderr: '' })
      t.strictSame(device.starts(), [IP, `${IP} edge-ipam0`])
    })

    t.test('no ip, or a kernel without dummy interfaces', async (t) => {
      const without = makeDevice({ stubs: {}, without: ['ip'] })
      t.match(await without.run([...args, '--dummy-interface'], { env }), {
        code: 22,
        stderr: /^join\.sh: the dummy interface needs the program ip; install iproute2 .*\n$/,
      })
      const refused = 'echo "Error: Unknown device type." >&2; exit 2'
      const stubs = {
        ip: `[ "$2" != add ] || { ${refused}; }\necho 'Device "edge-ipam0" does not exist.' >&2; exit 1\n`,
      }
      t.match(await makeDevice({ stubs }).run([...args, '--dummy-interface'], { env }), {
        code: 22,
        stderr: /^join\.sh: the interface edge-ipam0 could not be made \(Error: Unknown device type\.\); .*\n$/,
      })
    })

    t.test('a dry run says it', async (t) => {
      const device = makeDevice()
      device.setVersion('v1.12.1')
      const { stdout } = await device.run([...args, '--dry-run'], { env })
      t.match(stdout, `would make the interface edge-ipam0 with ${IP}, now and at every boot\n`)
      t.notMatch(existsSync(join(device.folder, 'ip')) && readFileSync(join(device.folder, 'ip'), 'utf8'), 'link add')
    })
  })
}

/** Not every kernel has dummy interfaces; a bridge without ports takes an address just as well. */
const kind = missing('unshare', 'ip')
  ? undefined
  : ['dummy', 'bridge'].find(
      (type) => spawnSync('unshare', ['-rn', find('ip')!, 'link', 'add', 'd0', 'type', type]).status === 0,
    )

t.test(
  'with a real interface, in a network of its own',
  { skip: kind ? false : 'no network namespaces here' },
  async (t) => {
    for (const shell of SHELLS) {
      if (missing(shell, 'curl')) continue
      const ip = `[ "$1 $2" != 'link add' ] || set -- link add "$3" type ${kind}\nexec ${find('ip')} "$@"\n`
      const device = makeEdge(t, { shell, keadm: 'neither', stubs: { ip } })
      const server = `require('http').createServer((request, response) => {
      response.statusCode = request.method === 'GET' && !request.url.endsWith('/unique-ip') ? 404 : 201
      if (request.url.endsWith('/unique-ip')) response.statusCode = 200
      response.end(response.statusCode === 404 ? '{"code":"node_not_found"}' : '${IP}\\n')
    }).listen(8080, () => require('fs').writeFileSync('${device.folder}/up', ''))`
      writeFileSync(join(device.folder, 'server.cjs'), server)
      const run = `PATH=${device.bin} ${shell === 'busybox' ? `${find('busybox')} sh` : find(shell)} ${SCRIPT} --server http://127.0.0.1:8080`
      const script = `
      ip=${find('ip')}
      $ip link set lo up
      ${process.execPath} ${device.folder}/server.cjs & server=$!
      until [ -e ${device.folder}/up ]; do /bin/sleep 0.02; done
      ${run} --node-name edge-1 --dummy-interface >&2 || echo "failed $?"
      ${run} --check >&2 || echo "failed $?"
      $ip -o addr show dev edge-ipam0
      EDGE_IPAM_TOKEN= ${run} --uninstall >&2 || echo "failed $?"
      $ip -o link
      kill $server`
      const result = spawnSync('unshare', ['-rn', 'sh', '-c', script], {
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: device.folder,
          TMPDIR: device.temporary,
          ...env,
          EDGE_IPAM_ROOT: device.folder,
        },
      })
      t.notMatch(result.stdout, 'failed', result.stderr)
      t.match(result.stdout, `inet ${IP}/32 scope global edge-ipam0`, shell)
      t.notMatch(result.stdout, /\d: edge-ipam0:/, 'gone')
      t.strictSame(device.starts(), [`${IP} edge-ipam0`])
    }
  },
)
