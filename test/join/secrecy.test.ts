import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CLIENTS, makeDevice, missing, SHELLS, TOKEN } from './device.js'
import { problem, startTrouble, text } from './trouble.js'

// Where the token must never be: the list of processes, any output, the environment of keadm, a file left behind.

/** The command lines of all processes now, and how many there were. */
function commandLines(): string[] {
  const lines: string[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      lines.push(readFileSync(`/proc/${entry}/cmdline`, 'latin1'))
    } catch {
      // It ended in between.
    }
  }
  return lines
}

/** Reads all command lines again and again until `work` is done. */
async function watchCommandLines<T>(work: Promise<T>): Promise<{ result: T; lines: Set<string> }> {
  const lines = new Set<string>()
  let running = true
  const done = work.finally(() => {
    running = false
  })
  while (running) {
    for (const line of commandLines()) lines.add(line)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { result: await done, lines }
}

for (const shell of SHELLS) {
  for (const client of CLIENTS) {
    t.test(`${shell} with ${client}`, { skip: missing(shell, client) ?? false }, async (t) => {
      t.test('neither token nor body is in the list of processes, as often as one looks', async (t) => {
        // The answers are held back until the list has been read with the client in it.
        const hold =
          (answer: ReturnType<typeof text>) =>
          (response: Parameters<typeof answer>[0], request: Parameters<typeof answer>[1]) =>
            void waitForCommand('/v1/allocations').then(() => answer(response, request))
        const { url, seen } = await startTrouble(t, [
          hold(problem(503, 'store_unavailable', 'Away.', { 'retry-after': '0' })),
          hold(problem(503, 'store_unavailable', 'Away.', { 'retry-after': '0' })),
          hold(text(201, '10.213.0.7\n')),
        ])
        const device = makeDevice(t, { shell, client })
        // Of this test alone: other tests that run beside it put theirs where everybody can see it, on purpose.
        const token = `${TOKEN}_${process.pid}_${shell}_${client}`
        const work = device.run(['--server', url, '--node-name', 'edge-secret', '--label', 'rack=r9'], {
          env: { EDGE_IPAM_TOKEN: token },
        })
        const { result, lines } = await watchCommandLines(work)
        t.equal(result.code, 0, result.stderr)
        t.equal(seen.length, 3)
        t.ok(
          [...lines].some((line) => line.includes('/v1/allocations')),
          'the client itself was seen',
        )
        t.notOk(
          [...lines].some((line) => line.includes(token)),
          'the token was not',
        )
        t.notOk(
          [...lines].some((line) => line.includes('"nodeName":"edge-secret"')),
          'the body was not',
        )
      })

      t.test('the token is in no output, whatever fails', async (t) => {
        const echo = problem(401, 'unauthorized', `The token ${TOKEN} is unknown, ${TOKEN} really.`)
        const { url } = await startTrouble(t, [
          echo,
          text(500, TOKEN),
          text(200, `${TOKEN}\n`),
          text(418, `{"detail":"${TOKEN}"}`),
        ])
        const codes: (number | null)[] = []
        for (const shellOptions of [[], [], [], []]) {
          const device = makeDevice(t, { shell, client })
          const result = await device.run(['--server', url, '--timeout', '0', '--node-name', 'edge-1'], {
            env: { EDGE_IPAM_TOKEN: TOKEN },
            shellOptions,
          })
          codes.push(result.code)
          t.notMatch(result.stdout + result.stderr, TOKEN)
          t.match(result.stderr, /^join\.sh: [^\n]+\n$/)
        }
        t.strictSame(codes, [8, 7, 13, 12])
      })

      t.test('a trace does not show the token, and is said to be off', async (t) => {
        const { url } = await startTrouble(t, [text(201, '10.213.0.7\n')])
        const device = makeDevice(t, { shell, client })
        const result = await device.run(['--server', url, '--node-name', 'edge-1'], {
          env: { EDGE_IPAM_TOKEN: TOKEN },
          shellOptions: ['-x'],
        })
        t.equal(result.code, 0)
        t.match(result.stderr, '+ main', 'the trace was on')
        t.notMatch(result.stdout + result.stderr, TOKEN)
        t.match(result.stdout, 'tracing is switched off')
      })

      t.test('keadm does not inherit the token, and no file stays behind', async (t) => {
        const { url } = await startTrouble(t, [text(201, '10.213.0.7\n')])
        const device = makeDevice(t, { shell, client })
        // A variable called TOKEN that was exported before must not carry ours.
        const env = { EDGE_IPAM_TOKEN: TOKEN, TOKEN: 'exported', token: 'exported', LC_ALL: 'C.UTF-8' }
        const result = await device.run(['--server', url, '--node-name', 'edge-1'], { env, shellOptions: ['-a'] })
        t.equal(result.code, 0, result.stderr)
        t.notMatch(device.keadmEnvironment(), TOKEN)
        t.match(device.keadmEnvironment(), 'LC_ALL=C.UTF-8', "the caller's locale is back")
        t.strictSame(readdirSync(device.temporary), [])
      })

      t.test('no file stays behind when it is ended by a signal while it waits', async (t) => {
        const { url, seen } = await startTrouble(t, [
          problem(503, 'store_unavailable', 'Away.', { 'retry-after': '50' }),
        ])
        const device = makeDevice(t, { shell, client, stubs: { sleep: 'echo >"$HOME/waiting"; exec /bin/sleep "$1"' } })
        let pid = 0
        const run = device.run(['--server', url, '--node-name', 'edge-1'], {
          env: { EDGE_IPAM_TOKEN: TOKEN },
          onStart: (started) => {
            pid = started
          },
        })
        await device.waitForFile('waiting')
        process.kill(pid, 'SIGTERM')
        t.match(await run, { code: 143 })
        t.equal(seen.length, 1)
        t.strictSame(readdirSync(device.temporary), [])
      })
    })
  }

  t.test(`${shell}: the token from a file`, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, '10.213.0.7\n')])
    const device = makeDevice(t, { shell })
    const file = join(device.folder, 'the token')
    const args = ['--server', url, '--node-name', 'edge-1']
    for (const content of [`${TOKEN}\n`, TOKEN, `${TOKEN}\r\nsecond line\n`]) {
      writeFileSync(file, content)
      t.equal((await device.run([...args, '--token-file', file])).code, 0)
      t.equal((await device.run(args, { env: { EDGE_IPAM_TOKEN_FILE: file } })).code, 0)
    }
    // The option is nearer than the environment.
    t.equal((await device.run([...args, '--token-file', file], { env: { EDGE_IPAM_TOKEN: 'another' } })).code, 0)
    t.equal(seen.length, 7)
    for (const { headers } of seen) t.equal(headers.authorization, `Bearer ${TOKEN}`)

    writeFileSync(file, '')
    t.match(await device.run([...args, '--token-file', file]), { code: 4, stderr: /^join\.sh: the token is empty; / })
    t.match(await device.run([...args, '--token-file', device.folder]), { code: 4, stderr: /cannot be read/ })
    t.match(await device.run(args), { code: 4, stderr: /^join\.sh: no token given; / })
    const bad = await device.run(args, { env: { EDGE_IPAM_TOKEN: 'two words"\nheader' } })
    t.match(bad, { code: 4, stderr: /^join\.sh: the token has a character that no token has; [^\n]*\n$/ })
    t.notMatch(bad.stderr, 'two words')
  })
}

async function waitForCommand(part: string) {
  const end = Date.now() + 20_000
  while (Date.now() < end) {
    if (commandLines().some((line) => line.includes(part))) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`no process with ${part} in its command line`)
}
