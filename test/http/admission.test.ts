import { once } from 'node:events'
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { Admission } from '../../src/http/admission.js'
import { wholeRequest } from '../../src/http/quick-refusal.js'
import { until } from '../api/support.js'

/** More than are let in whatever happens. */
const CROWD = 1_100

interface Guarded {
  port: number
  admission: Admission
  lines: string[]
  /** Answers all that are held, and from now on whatever comes. */
  release(): void
  /** What came by the admission, in order. */
  served: string[]
}

/** A server behind an admission that answers when it is told to; what is asked for at /now it answers at once. */
async function guarded(t: Test): Promise<Guarded> {
  const held: ServerResponse[] = []
  const served: string[] = []
  const lines: string[] = []
  let holding = true
  const server = createServer((request: IncomingMessage, response) => {
    served.push(`${request.method} ${request.url}`)
    if (holding && !['/now', '/livez'].includes(request.url!)) held.push(response)
    else response.end('served')
    request.resume()
  })
  const admission = new Admission({
    info: (_fields, message) => lines.push(message),
    warn: (_fields, message) => lines.push(message),
  })
  admission.guard(server)
  server.listen(0, '127.0.0.1', 4_096)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const release = () => {
    holding = false
    for (const response of held) response.end('served')
  }
  return { port: (server.address() as AddressInfo).port, admission, lines, served, release }
}

/** Requests that are held, as many as make a crowd; comes back when others are refused. Resolves with their statuses. */
async function crowd(t: Test, { port }: Guarded): Promise<{ statuses: Promise<(number | undefined)[]> }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CROWD })
  t.teardown(() => agent.destroy())
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port, path, agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      })
      request.on('error', reject)
      request.end()
    })
  const statuses = Promise.all(Array.from({ length: CROWD }, () => ask('/held')))
  statuses.catch(() => {})
  const probing = new Agent({ keepAlive: true })
  t.teardown(() => probing.destroy())
  await until('others are refused', async () => (await status(port, '/now', probing)) === 503)
  return { statuses }
}

function status(port: number, path: string, agent: Agent): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    request.on('error', reject)
    request.end()
  })
}

interface Seen {
  status: number
  headers: Record<string, string>
  body: string
}

/** A connection by hand: what is sent goes out as it is, and answers are read one after the other. */
async function byHand(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  const take = (bodiless: boolean): Seen | false => {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return false
    const [first, ...fields] = text.slice(0, end).split('\r\n')
    const headers: Record<string, string> = {}
    for (const field of fields) {
      const [name, value] = field.split(': ', 2)
      headers[name!.toLowerCase()] = value!
    }
    const length = bodiless ? 0 : Number(headers['content-length'] ?? 6)
    if (text.length < end + 4 + length) return false
    const body = text.slice(end + 4, end + 4 + length)
    text = text.slice(end + 4 + length)
    return { status: Number(first!.split(' ')[1]), headers, body }
  }
  return {
    send: (bytes: string) => void socket.write(bytes, 'latin1'),
    answer: (bodiless = false) => until('an answer', () => take(bodiless)),
    /** What has come and was not read. */
    rest: () => text,
  }
}

/** What is sent goes in pieces that the server reads one by one: between them it answers another connection. */
async function settled(port: number): Promise<void> {
  const agent = new Agent()
  for (let i = 0; i < 3; i++) await status(port, '/livez', agent)
  agent.destroy()
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`
const post = (body: string, more = '') =>
  `POST /now HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

t.test(
  'a crowd that gets no answers has others refused, at once and in the words of every other refusal',
  async (t) => {
    const server = await guarded(t)
    const { statuses } = await crowd(t, server)
    const before = server.served.length
    const client = await byHand(t, server.port)
    // The first is refused by way of Node's parser, those after it without.
    for (const id of ['first', 'second', 'third']) {
      client.send(post('{"a":1}', `X-Request-Id: ${id}\r\n`))
      const { status, headers, body } = await client.answer()
      t.equal(status, 503)
      t.equal(headers['content-type'], 'application/problem+json; charset=utf-8')
      t.equal(headers['retry-after'], '1')
      t.equal(headers['x-request-id'], id)
      t.equal('date' in headers, id === 'first', 'only Node writes a date')
      t.match(JSON.parse(body), { status: 503, code: 'store_unavailable', requestId: id, type: /store_unavailable$/ })
    }
    client.send(post('{"a":1}', 'X-Request-Id: not an id\r\n'))
    const own = await client.answer()
    t.match(own.headers['x-request-id'], /^[A-Za-z0-9_-]+$/)
    t.equal(JSON.parse(own.body).requestId, own.headers['x-request-id'])
    t.equal(server.served.length, before, 'nothing was done for them')
    client.send(get('/livez'))
    t.equal((await client.answer()).status, 200, 'health is answered, also on this connection')

    server.release()
    t.same(new Set(await statuses), new Set([200]), 'who was let in is served')
    client.send(get('/now'))
    t.equal((await client.answer()).status, 200, 'and so is everybody afterwards')
    await until('nothing is under way', () => server.admission.stats.underWay === 0)
    t.ok(server.admission.stats.refused >= 4)
    await until('the end is told', () => server.lines.length >= 2)
    t.same(server.lines, [
      'more requests come than can be served in time; some are refused',
      'every request is served again',
    ])
  },
)

t.test('a refused connection stays in step, whatever is sent on it', async (t) => {
  const server = await guarded(t)
  await crowd(t, server)
  const cases: Record<string, { pieces: string[]; answers: number }> = {
    'a head in two pieces': { pieces: ['GET /now HTTP/1.1\r\nHo', 'st: x\r\n\r\n'], answers: 1 },
    'a body after its head': { pieces: [post('{"a":1}').slice(0, -7), '{"a":1}'], answers: 1 },
    'a body that reads like a request': {
      pieces: [
        `POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: ${get('/now').length}\r\n\r\n`,
        get('/now'),
        get('/now'),
      ],
      answers: 2,
    },
    'two at once': { pieces: [get('/now') + post('{}')], answers: 2 },
    'one and a half': { pieces: [get('/now') + get('/now').slice(0, 9), get('/now').slice(9)], answers: 2 },
    'a body in chunks': {
      pieces: ['POST /now HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', '2\r\n{}\r\n', '0\r\n\r\n'],
      answers: 1,
    },
  }
  for (const refusedBefore of [0, 1, 3]) {
    for (const [name, { pieces, answers }] of Object.entries(cases)) {
      await t.test(`${name}, refused ${refusedBefore} times before`, async (t) => {
        const client = await byHand(t, server.port)
        for (let i = 0; i < refusedBefore; i++) {
          client.send(get('/now'))
          t.equal((await client.answer()).status, 503)
        }
        for (const piece of pieces) {
          client.send(piece)
          await settled(server.port)
        }
        for (let i = 0; i < answers; i++) t.equal((await client.answer()).status, 503)
        client.send(get('/livez'))
        t.equal((await client.answer()).status, 200, 'the next answer is that of the next request')
        t.equal(client.rest(), '')
      })
    }
  }
  const client = await byHand(t, server.port)
  for (let i = 0; i < 3; i++) {
    client.send(get('/now'))
    t.equal((await client.answer()).status, 503)
  }
  for (let i = 0; i < 3; i++) {
    client.send('HEAD /now HTTP/1.1\r\nHost: x\r\n\r\n')
    t.equal((await client.answer(true)).status, 503)
    t.equal(client.rest(), '', 'HEAD has no body')
  }
})

t.test('a refusal does not overtake the answer that is due before it', async (t) => {
  const server = await guarded(t)
  await crowd(t, server)
  const client = await byHand(t, server.port)
  client.send(get('/now'))
  t.equal((await client.answer()).status, 503)
  client.send(get('/livez?later'))
  await settled(server.port)
  client.send(get('/now'))
  await settled(server.port)
  t.equal(client.rest(), '')
  server.release()
  t.equal((await client.answer()).status, 200)
  t.equal((await client.answer()).status, 503)
})

t.test('what is answered by its bytes is one whole request and nothing unusual', async (t) => {
  const whole = (text: string) => wholeRequest(Buffer.from(text, 'latin1'))
  t.same(whole(get('/v1/pools?limit=1')), { url: '/v1/pools?limit=1', headers: {} })
  t.same(whole(post('{}', 'Connection: keep-alive\r\nx-request-ID: a\r\n')), {
    url: '/now',
    headers: { 'x-request-id': 'a' },
  })
  for (const text of [
    '',
    'GET /now HTTP/1.1\r\n',
    `${get('/now')} `,
    post('{}').slice(0, -1),
    `${post('{}')}x`,
    'HEAD /now HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /now HTTP/1.0\r\nHost: x\r\n\r\n',
    'GET http://x/now HTTP/1.1\r\nHost: x\r\n\r\n',
    get('/now', 'Connection: close\r\n'),
    get('/now', 'Connection: keep-alive, upgrade\r\n'),
    get('/now', 'Upgrade: websocket\r\n'),
    get('/now', 'Expect: 100-continue\r\n'),
    get('/now', 'TRANSFER-encoding: chunked\r\n'),
    get('/now', 'A: b\nTransfer-Encoding: chunked\r\n'),
    get('/now', 'A: b\r\n Transfer-Encoding: chunked\r\n'),
    get('/now', 'Content-Length: 00000000\r\n'),
    get('/now', 'Content-Length : 0\r\n'),
    get('/now', 'Content-Length: 0, 0\r\n'),
    post('{}', 'Content-Length: 2\r\n'),
  ]) {
    t.equal(whole(text), undefined, JSON.stringify(text))
  }
})

t.test('bodies are let in as long as they fit into memory together', async (t) => {
  const server = await guarded(t)
  const large = `POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * 1024 * 1024}\r\n\r\n`
  for (let i = 0; i < 32; i++) (await byHand(t, server.port)).send(large)
  await until('all are there', () => server.admission.stats.underWay === 32)
  const client = await byHand(t, server.port)
  client.send(large)
  t.equal((await client.answer()).status, 503)
  const other = await byHand(t, server.port)
  other.send(get('/now'))
  t.equal((await other.answer()).status, 200, 'one without a body finds room')
})
