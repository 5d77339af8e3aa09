import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { missing, SHELLS, TOKEN } from './device.js'
import { makeEdge } from './edgecore.js'
import { problem, startTrouble, text } from './trouble.js'

// The script run again: on a device that is joined, half joined, or joined by hand.

const IP = '10.213.0.7'
const env = { EDGE_IPAM_TOKEN: TOKEN }

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url } = await startTrouble(t, [text(201, `${IP}\n`)])
    const args = ['--server', url, '--node-name', 'edge-1']

    for (const keadm of ['set', 'flag', 'neither'] as const) {
      t.test(`joined with its address (${keadm}): it says so, and does nothing`, async (t) => {
        const device = makeEdge(t, { shell, keadm })
        t.match(await device.run(args, { env }), { code: 0, stderr: '' })
        const config = device.readConfig()
        // The name is known by now, and a keadm is not needed any more.
        for (const again of [args, ['--server', url], [...args, '--keadm', '/gone'], [...args, '--dry-run']]) {
          t.match(await device.run(again, { env }), {
            code: 0,
            stderr: '',
            stdout: /edge-1 is already set up with 10\.213\.0\.7 \(\S+\); nothing to do\n$/,
          })
        }
        t.equal(device.joins().length, 1)
        t.strictSame(device.starts(), [IP])
        t.equal(device.readConfig(), config)
      })
    }

    for (const init of ['systemd', 'none'] as const) {
      t.test(`set up, but edgecore does not run (${init}): it is started`, async (t) => {
        const device = makeEdge(t, { shell, init })
        device.writeConfig(`"${IP}"`)
        t.match(await device.run([...args, '--dry-run'], { env }), { code: 0, stdout: /would start edgecore, .*\n$/ })
        t.strictSame(device.starts(), [])
        t.match(await device.run(args, { env }), {
          code: 0,
          stderr: '',
          stdout: /but edgecore does not run: starting it\njoin\.sh: edge-1 joined with 10\.213\.0\.7\n$/,
        })
        t.equal(device.starts().length, 1)
        t.strictSame(device.joins(), [])
        t.match(await device.run(args, { env }), { code: 0, stdout: /nothing to do/ })
      })

      t.test(`set up, and edgecore does not stay up (${init}): never a success`, async (t) => {
        const device = makeEdge(t, { shell, init })
        device.writeConfig(IP)
        device.setBroken(true)
        for (const _ of ['once', 'again']) {
          t.match(await device.run(args, { env }), {
            code: 19,
            stderr:
              /^join\.sh: edgecore does not stay up; see \S.*, or undo the join with --uninstall and run this again\n$/,
          })
        }
        device.setBroken(false)
        t.match(await device.run(args, { env }), { code: 0, stderr: '' })
      })
    }

    t.test('a join that was cut short between keadm and the edit is finished', async (t) => {
      const device = makeEdge(t, { shell, keadm: 'neither' })
      device.writeConfig('192.168.1.10')
      mkdirSync(dirname(device.record), { recursive: true })
      writeFileSync(device.record, `node=edge-1\nserver=${url}\naddress=${IP}\nsequence=1\ninterface=\nstep=joining\n`)
      t.match(await device.run(args, { env }), {
        code: 0,
        stderr: '',
        stdout: /edge-1 has now 10\.213\.0\.7 instead of 192\.168\.1\.10 \(\S+\)\n$/,
      })
      t.strictSame(device.starts(), [IP])
      t.match(readFileSync(device.record, 'utf8'), 'step=joined\n')
    })

    t.test('the drop-in of a join that was killed goes with the next one, before it can undo an address', async (t) => {
      const next = await startTrouble(t, [text(201, '10.213.0.8\n')])
      for (const [server, options, starts] of [
        [url, [], [IP]],
        [next.url, ['--readdress'], [IP, '10.213.0.8']],
      ] as const) {
        const device = makeEdge(t, { shell, keadm: 'neither' })
        device.killDuringJoin()
        t.match(await device.run(args, { env }), { code: null })
        const again = ['--server', server, '--node-name', 'edge-1', ...options]
        for (const look of ['--dry-run', '--check']) {
          await device.run([...again.filter((word) => word !== '--readdress'), look], { env })
          t.ok(existsSync(device.dropIn), `${look} leaves it: a join may still run`)
        }
        t.match(await device.run(again, { env }), { code: 0, stderr: '' })
        t.strictSame(device.starts(), starts)
        t.notOk(existsSync(dirname(device.dropIn)))
        t.notOk(existsSync(`${device.folder}/run/edge-ipam`))
        t.ok(device.systemctl().filter((words) => words === 'daemon-reload').length > 2, 'systemd has forgotten it')
      }
    })

    t.test('an edgecore that nobody watches is found without pidof', async (t) => {
      const device = makeEdge(t, { shell, keadm: 'neither', init: 'none', without: ['pidof'] })
      t.match(await device.run(args, { env }), { code: 0, stderr: '', stdout: /edge-1 joined with 10\.213\.0\.7\n$/ })
      t.strictSame(device.starts(), ['192.168.1.10', IP])
      // A zombie, until somebody has asked for its exit code, is none that runs.
      const processes = readdirSync(`${device.folder}/proc`).map((pid) => `/proc/${pid}/stat`)
      t.equal(processes.length, 2)
      const running = spawnSync('grep', ['-s', '-l', ') [^XZ]', ...processes], { encoding: 'utf8' }).stdout
      t.match(running, /^\S+\n$/, 'the first one was stopped')
      t.match(await device.run(args, { env }), { code: 0, stdout: /nothing to do\n$/ })
    })

    t.test('a keadm that failed before it wrote anything runs again', async (t) => {
      const device = makeEdge(t, { shell, keadmExit: 1 })
      writeFileSync(`${device.folder}/after-join`, '', { mode: 0o644 })
      rmSync(`${device.folder}/after-join`)
      t.match(await device.run(args, { env }), { code: 16 })
      t.match(readFileSync(device.record, 'utf8'), /^node=edge-1\nserver=http.*\naddress=10\.213\.0\.7\n/)
      t.match(await device.run(args, { env }), { code: 16 })
      t.equal(device.joins().length, 2)
    })

    t.test('joined by hand, with its own address: it is told, and changed only when it is meant', async (t) => {
      for (const own of ['192.168.1.10', '""']) {
        const device = makeEdge(t, { shell })
        device.writeConfig(own)
        writeFileSync(`${device.folder}/state/running`, '')
        t.match(await device.run(args, { env }), {
          code: 17,
          stderr:
            /^join\.sh: this device is set up with (192\.168\.1\.10|its own address) .*, and edge-1 has 10\.213\.0\.7; add --readdress .*\n$/,
        })
        t.match(await device.run(args, { env }), { code: 17 }, 'to have asked is not to have meant it')
        t.strictSame(device.starts(), [])
        t.match(await device.run([...args, '--readdress'], { env }), { code: 0, stderr: '' })
        t.strictSame(device.starts(), [IP])
        // The server is remembered.
        t.match(await device.run(['--readdress'], { env }), { code: 0, stdout: /nothing to do/ })
      }
    })

    t.test('--check: right, another address, no address, not joined, not running, service away', async (t) => {
      const right = await startTrouble(t, [text(200, `${IP}\n`)])
      const none = await startTrouble(t, [problem(404, 'node_not_found', 'No node of this name holds an address.')])
      const busy = await startTrouble(t, [problem(503, 'store_unavailable', 'Away.')])
      const wrong = await startTrouble(t, [problem(404, 'route_not_found', 'No such route.')])
      const refused = await startTrouble(t, [problem(403, 'forbidden', 'No.')])
      const cases: [string, string, string, number, RegExp][] = [
        ['right', right.url, IP, 0, /^$/],
        [
          'another',
          right.url,
          '192.168.1.10',
          17,
          /is set up with 192\.168\.1\.10 \(\S+\), and edge-1 has 10\.213\.0\.7; .*--readdress/,
        ],
        ['its own', right.url, '""', 17, /is set up with its own address \(\S+\), and edge-1 has 10\.213\.0\.7; /],
        [
          'none held',
          none.url,
          IP,
          17,
          /edge-1 holds no address, and this device is set up with 10\.213\.0\.7, which others may/,
        ],
        ['away', 'http://127.0.0.1:1', IP, 5, /could not be reached/],
        ['busy', busy.url, IP, 7, /cannot answer now/],
        ['no service', wrong.url, IP, 10, /route_not_found/],
        ['no right', refused.url, IP, 9, /forbidden/],
      ]
      for (const [name, server, own, code, line] of cases) {
        const device = makeEdge(t, { shell })
        device.writeConfig(own)
        writeFileSync(`${device.folder}/state/running`, '')
        const before = device.readConfig()
        // The name is that of edgecore.yaml, the display IP is not looked for.
        const result = await device.run(['--check', '--server', server], { env })
        t.equal(result.code, code, name)
        t.match(result.stderr, line, name)
        t.match(result.stderr, /^(join\.sh: [^\n]+\n)?$/, `${name}: one line`)
        t.strictSame([device.readConfig(), device.starts(), device.joins()], [before, [], []], `${name}: no change`)
        t.notOk(existsSync(device.record), name)
      }
      const device = makeEdge(t, { shell })
      const check = ['--check', '--server', right.url]
      t.match(await device.run(check, { env }), {
        code: 20,
        stderr: /is not joined \(there is no \S+\); run this without/,
      })
      device.writeConfig('')
      t.match(await device.run(check, { env }), {
        code: 20,
        stderr: /is not joined \(\S+ sets no address, edgecore does/,
      })
      device.writeConfig(IP)
      t.match(await device.run(check, { env }), {
        code: 19,
        stderr: /but edgecore does not run; run this without --check/,
      })
    })
  })
}
