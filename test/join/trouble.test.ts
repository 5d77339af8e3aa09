import t from 'tap'
import { freePort } from '../support/free-port.js'
import { CLIENTS, makeDevice, missing, SHELLS, TOKEN } from './device.js'
import { cut, problem, startTrouble, text } from './trouble.js'

// The script against servers in trouble. Its pauses are recorded and not waited for: `sleep` is a stand-in.

const env = { EDGE_IPAM_TOKEN: TOKEN }
const BUSY = [429, 500, 502, 503, 504]
const FINAL = [
  [400, 'validation_failed', 12],
  [401, 'unauthorized', 8],
  [403, 'forbidden', 9],
  [404, 'pool_not_found', 10],
  [409, 'pool_exhausted', 11],
  [422, 'address_reserved', 12],
] as const

for (const shell of SHELLS) {
  for (const client of CLIENTS) {
    t.test(`${shell} with ${client}`, { skip: missing(shell, client) ?? false }, async (t) => {
      const recordPauses = { sleep: 'echo "$1" >>"$HOME/pauses"\n' }

      t.test('what is busy is asked again, until it answers', async (t) => {
        const device = makeDevice(t, { shell, client, stubs: recordPauses })
        const busy = BUSY.map((status) => problem(status, 'store_unavailable', 'The store is away.'))
        const { url, seen } = await startTrouble(t, [...busy, cut, text(201, '10.213.0.7\n')])
        const result = await device.run(['--server', url, '--node-name', 'edge-1', '--display-ip', '192.168.1.10'], {
          env,
        })
        t.match(result, { code: 0, stderr: '' }, result.stdout)
        t.equal(seen.length, BUSY.length + 2)
        t.equal(
          new Set(seen.map(({ method, url, body }) => `${method} ${url} ${body}`)).size,
          1,
          'the same request each time',
        )
        t.match(seen[0], { method: 'POST', url: '/v1/allocations' })
        t.match(seen[0]!.headers, {
          authorization: `Bearer ${TOKEN}`,
          accept: 'text/plain',
          'content-type': 'application/json',
        })
        t.strictSame(JSON.parse(seen[0]!.body), { nodeName: 'edge-1', displayIp: '192.168.1.10' })
        const pauses = device.pauses()
        t.equal(pauses.length, BUSY.length + 1)
        for (const [attempt, pause] of pauses.entries()) {
          const base = Math.min(2 ** attempt, 30)
          t.ok(
            pause >= base && pause <= base * 1.5 + 1,
            `pause ${attempt} of ${pause} s grows from 1 to 30 s, with chance`,
          )
        }
      })

      t.test('Retry-After is honoured, up to a minute; a date or nonsense is not', async (t) => {
        const device = makeDevice(t, { shell, client, stubs: recordPauses })
        const asked = ['7', '08', '86400', 'Fri, 31 Dec 1999 23:59:59 GMT', 'soon']
        const busy = asked.map((after) => problem(503, 'store_unavailable', 'Away.', { 'retry-after': after }))
        const { url } = await startTrouble(t, [...busy, text(200, '10.213.0.7\n')])
        const result = await device.run(['--server', url, '--node-name', 'edge-1'], { env })
        t.equal(result.code, 0)
        const [seven, eight, day, date, nonsense] = device.pauses() as [number, number, number, number, number]
        t.ok(seven >= 7 && seven <= 11, `7: ${seven}`)
        t.ok(eight >= 8 && eight <= 13, `08 is eight: ${eight}`)
        t.ok(day >= 60 && day <= 91, `a day: ${day}`)
        t.ok(date >= 8 && date <= 13, `a date: ${date}, the usual pause`)
        t.ok(nonsense >= 16 && nonsense <= 25, `nonsense: ${nonsense}, the usual pause`)
      })

      t.test('what is refused is not asked again, and is said with its detail and code', async (t) => {
        for (const [status, code, exit] of FINAL) {
          const device = makeDevice(t, { shell, client, stubs: recordPauses })
          const detail = 'It is "so", and\tno more.'
          const { url, seen } = await startTrouble(t, [problem(status, code, detail)])
          const result = await device.run(['--server', url, '--node-name', 'edge-1'], { env })
          t.equal(result.code, exit, `${status} ends with ${exit}`)
          t.equal(seen.length, 1, 'asked once')
          t.match(result.stderr, /^join\.sh: [^\n]*; [^\n]*\n$/, 'one line: what; what to do')
          // GNU wget drops the body of a 401.
          if (client === 'wget' && status === 401) t.match(result.stderr, 'it answered 401')
          else t.match(result.stderr, new RegExp(`It is 'so', and.*\\(${code}\\)`))
          t.strictSame(device.joins(), [])
        }
      })

      t.test('what a terminal would obey is not printed', async (t) => {
        const { url } = await startTrouble(t, [text(400, '{"detail":"red\u001b[31m\u0007","code":"odd"}')])
        const result = await makeDevice(t, { shell, client }).run(['--server', url, '--node-name', 'edge-1'], { env })
        t.match(result, {
          code: 12,
          stderr: 'join.sh: the request was refused: red[31m (odd); correct the options, see --help\n',
        })
      })

      t.test('an answer that is no address is not used', async (t) => {
        const answers = [
          '<html>Log in to the hotel</html>\n',
          '',
          '\n',
          '10.213.0.7\n10.213.0.8\n',
          '10.213.0.256\n',
          '10.213.0.07\n',
          '10.213.0\n',
          '10.213.0.7; reboot\n',
          '{"uniqueIp":"10.213.0.7"}\n',
          'fd00::1::2\n',
          'fd00:12345::1\n',
          '1:2:3:4:5:6:7\n',
          ':::\n',
        ]
        const { url } = await startTrouble(
          t,
          answers.map((answer) => text(200, answer)),
        )
        const device = makeDevice(t, { shell, client })
        for (const answer of answers) {
          const result = await device.run(['--server', url, '--node-name', 'edge-1'], { env })
          t.match(
            result,
            { code: 13, stderr: /^join\.sh: [^\n]*; check that --server is the IPAM service\n$/ },
            JSON.stringify(answer),
          )
        }
        t.strictSame(device.joins(), [])
      })

      t.test('IPv6 addresses are used as they are', async (t) => {
        const addresses = ['fd00:213::1', '::1:2', 'fd00::', '1:2:3:4:5:6:7:8']
        const { url } = await startTrouble(
          t,
          addresses.map((address) => text(201, `${address}\n`)),
        )
        const device = makeDevice(t, { shell, client, keadm: 'flag' })
        for (const _ of addresses)
          t.equal((await device.run(['--server', url, '--node-name', 'edge-1'], { env })).code, 0)
        t.strictSame(
          device.joins().map((args) => args.at(-1)),
          addresses,
        )
      })

      t.test('a redirect is not followed, the token would go along', async (t) => {
        const elsewhere = await startTrouble(t, [text(201, '10.213.0.7\n')])
        const { url } = await startTrouble(t, [text(307, '', { location: `${elsewhere.url}/v1/allocations` })])
        const result = await makeDevice(t, { shell, client }).run(['--server', url, '--node-name', 'edge-1'], { env })
        t.match(result, { code: 13, stderr: /redirects \(307\)/ })
        t.equal(elsewhere.seen.length, 0)
      })

      t.test('a server that comes up late is found', async (t) => {
        const port = await freePort()
        // The first pause ends when the server is there.
        const device = makeDevice(t, {
          shell,
          client,
          stubs: { sleep: 'echo pause >"$HOME/pauses"; cat "$HOME/up" >/dev/null' },
        })
        const up = device.makeFifo('up')
        const run = device.run(['--server', `http://127.0.0.1:${port}`, '--node-name', 'edge-1'], { env })
        await device.waitForFile('pauses')
        const { seen } = await startTrouble(t, [text(201, '10.213.0.7\n')], port)
        up.open()
        const result = await run
        t.match(result, { code: 0, stderr: '' })
        t.match(result.stdout, /could not be reached \(.*(refused|connect).*\); trying again/i)
        t.equal(seen.length, 1)
      })

      t.test('when the time is over it ends, with the reason', async (t) => {
        const device = makeDevice(t, { shell, client })
        const nobody = `http://127.0.0.1:${await freePort()}`
        const unreachable = await device.run(['--server', nobody, '--timeout', '3', '--node-name', 'edge-1'], { env })
        t.match(unreachable, {
          code: 5,
          stderr: /^join\.sh: http:\S+ could not be reached \(.*(refused|connect).*\); [^\n]*\n$/i,
        })
        t.match(unreachable.stdout, /trying again in \d s/)

        const { url, seen } = await startTrouble(t, [problem(503, 'store_unavailable', 'The store is away.')])
        const busy = await device.run(['--server', url, '--timeout', '0', '--node-name', 'edge-1'], { env })
        t.match(busy, {
          code: 7,
          stderr:
            'join.sh: the IPAM service cannot answer now: The store is away (store_unavailable); run this again later\n',
        })
        t.equal(seen.length, 1, 'with --timeout 0 it tries once')
      })
    })
  }
}
