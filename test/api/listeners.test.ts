import { connect } from 'node:net'
import t from 'tap'
import { startService } from '../support/service.js'
import { give, problem, tokenOf } from './support.js'

const health = ['GET /livez', 'GET /readyz']
const served = {
  northbound: [
    ...health,
    'GET /northbound/v1/nodes',
    'GET /northbound/v1/nodes/{name}',
    'PATCH /northbound/v1/nodes/{name}',
  ],
  join: [
    ...health,
    'GET /join.sh',
    'GET /v1/nodes/{name}',
    'GET /v1/nodes/{name}/unique-ip',
    'POST /v1/allocations',
    'POST /v1/allocations/batch',
  ],
}

const service = await startService(t, { env: { EDGE_IPAM_NORTHBOUND_PORT: '0', EDGE_IPAM_JOIN_PORT: '0' } })
const { call, ready } = service

const document = (await call('GET', '/openapi.json', undefined, { token: null })).body
const everything: string[] = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
)

t.test('a listener of its own serves what it is for, and nothing else', async (t) => {
  for (const door of ['northbound', 'join'] as const) {
    t.same(
      served[door].filter((route) => !everything.includes(route)),
      [],
      `${door}: all of them are routes`,
    )
    const paths = new Map<string, string[]>()
    for (const route of served[door]) {
      const [method = '', path = ''] = route.split(' ')
      paths.set(path, [...(paths.get(path) ?? []), method, ...(method === 'GET' ? ['HEAD'] : [])].sort())
    }
    for (const route of [...everything, 'GET /openapi.json', 'GET /docs', 'GET /docs/', 'GET /']) {
      const [method = '', path = ''] = route.split(' ')
      const filled = path.replace('{name}', 'none').replace(/\{\w+\}/g, '1')
      const answer = await call(method, filled, undefined, { token: null, at: ready[door] })
      const allow = paths.get(path)
      if (served[door].includes(route)) {
        const open = health.includes(route) || path === '/join.sh'
        t.equal(answer.status, open ? 200 : 401, `${door}: ${route} is there`)
      } else if (allow) {
        problem(t, answer, 405, 'method_not_allowed', `${door}: ${route}`)
        t.equal(answer.headers.get('allow'), allow.join(', '), `${door}: ${path} allows what is there`)
      } else {
        problem(t, answer, 404, 'route_not_found', `${door}: ${route}`)
      }
    }
  }
})

t.test('PORT serves none of the northbound side then, and all else', async (t) => {
  for (const route of everything) {
    const [method = '', path = ''] = route.split(' ')
    const answer = await call(method, path.replace(/\{\w+\}/g, '1'), undefined, { token: null })
    if (path.startsWith('/northbound')) problem(t, answer, 404, 'route_not_found', route)
    else t.not(answer.status, 404, route)
  }
})

t.test('all listeners are one service', async (t) => {
  const { secret } = await tokenOf(service, 'join')
  const joined = await call(
    'POST',
    '/v1/allocations',
    { nodeName: 'edge-1', displayIp: '192.168.1.10' },
    { token: secret, at: ready.join },
  )
  t.equal(joined.status, 201)
  t.match(await call('GET', '/v1/nodes/edge-1/unique-ip'), { status: 200, body: { uniqueIp: joined.body.uniqueIp } })
  t.match(await call('GET', '/northbound/v1/nodes/edge-1', undefined, { at: ready.northbound }), {
    status: 200,
    body: { name: 'edge-1', internalIp: '192.168.1.10' },
  })
  const { text } = await call('GET', '/metrics')
  t.match(text, /edge_ipam_http_requests_total\{method="POST",route="\/v1\/allocations",status="201"\} 1\n/)
  t.match(text, /edge_ipam_http_requests_total\{method="GET",route="\/northbound\/v1\/nodes\/:name",status="200"\} 1\n/)
})

t.test('who may do more does not do it at the door for devices', async (t) => {
  await give(service, 'edge-2')
  const released = await call('DELETE', '/v1/nodes/edge-2/allocation', undefined, { at: ready.join })
  problem(t, released, 404, 'route_not_found')
  const deleted = await call('DELETE', '/v1/nodes/edge-2', undefined, { at: ready.join })
  problem(t, deleted, 405, 'method_not_allowed')
  t.match(await call('GET', '/v1/nodes/edge-2'), { body: { state: 'allocated' } })
})

t.test('who guesses tokens is slowed down at all doors together', async (t) => {
  const guess = async (at: string | undefined, path: string) =>
    (await call('GET', path, undefined, { token: 'x', at })).status
  for (let tries = 0; tries < 60; tries++) {
    await guess(ready.join, '/v1/nodes/none')
    await guess(ready.northbound, '/northbound/v1/nodes')
  }
  t.equal(await guess(undefined, '/v1/pools'), 429)
  t.equal((await call('GET', '/v1/pools')).status, 200, 'and a valid token is never met')
})

t.test('behind a proxy that is trusted, the source is who asked the proxy', async (t) => {
  const { call } = await startService(t, { env: { EDGE_IPAM_TRUSTED_PROXIES: '127.0.0.0/8, ::1' } })
  const guess = async (from: string) =>
    (await call('GET', '/v1/pools', undefined, { token: 'x', headers: { 'x-forwarded-for': from } })).status
  for (let tries = 0; tries < 120; tries++) await guess('203.0.113.7')
  t.equal(await guess('203.0.113.7'), 429)
  t.equal(await guess('203.0.113.8'), 401)
})

t.test('without one the header counts for nothing', async (t) => {
  const { call } = await startService(t)
  let last = 0
  for (let tries = 0; tries < 121; tries++) {
    const headers = { 'x-forwarded-for': `203.0.113.${tries}` }
    last = (await call('GET', '/v1/pools', undefined, { token: 'x', headers })).status
  }
  t.equal(last, 429)
})

t.test('SIGTERM closes every listener, and exits 0', async (t) => {
  const other = await startService(t, { env: { EDGE_IPAM_NORTHBOUND_PORT: '0', EDGE_IPAM_JOIN_PORT: '0' } })
  t.equal(await other.stop(), 0)
  for (const url of [other.url, other.ready.northbound, other.ready.join]) {
    await t.rejects(fetch(`${url}/livez`), `${url} is closed`)
  }
})

t.test('at localhost, too, whoever answers is the service with all that belongs to it', async (t) => {
  const { url } = await startService(t, { env: { HOST: 'localhost' } })
  const { port } = new URL(url)
  const answers = await Promise.all(
    ['127.0.0.1', '::1'].map((host) => answerTo('not HTTP', { host, port: Number(port) })),
  )
  const given = answers.filter((answer) => answer !== undefined)
  t.ok(given.length > 0, 'it listens at one of the addresses at least')
  for (const answer of given) t.match(answer, /^HTTP\/1\.1 400 [\s\S]*application\/problem\+json/)
})

/** What comes back on a connection of its own; undefined if nobody listens there. */
function answerTo(text: string, to: { host: string; port: number }): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(to, () => socket.write(`${text}\r\n\r\n`))
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => resolve(undefined))
    socket.on('end', () => resolve(answer))
  })
}
