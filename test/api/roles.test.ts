import t from 'tap'
import { startService } from '../support/service.js'
import { problem, snapshot, tokenOf } from './support.js'

const roles = ['admin', 'join', 'cloudcore', 'northbound', 'auditor'] as const
type Role = (typeof roles)[number]

// Every route of the served description with the roles that api.md gives it; `open` needs no token. Names and bodies are
// such that who is let in gets no further than that: no test of a role may change anything.
const table: Record<string, Role[] | 'open'> = {
  'GET /livez': 'open',
  'GET /readyz': 'open',
  'GET /join.sh': 'open',
  'GET /metrics': ['admin', 'auditor'],
  'POST /v1/pools': ['admin'],
  'GET /v1/pools': ['admin', 'auditor'],
  'GET /v1/pools/{name}': ['admin', 'auditor'],
  'PATCH /v1/pools/{name}': ['admin'],
  'DELETE /v1/pools/{name}': ['admin'],
  'POST /v1/pools/{name}/reservations': ['admin'],
  'GET /v1/pools/{name}/reservations': ['admin', 'auditor'],
  'DELETE /v1/pools/{name}/reservations/{id}': ['admin'],
  'GET /v1/networks': ['admin', 'auditor'],
  'PUT /v1/networks': ['admin'],
  'POST /v1/allocations': ['admin', 'join'],
  'POST /v1/allocations/batch': ['admin', 'join'],
  'GET /v1/allocations': ['admin', 'auditor'],
  'GET /v1/allocations/{address}': ['admin', 'auditor'],
  'DELETE /v1/allocations/{address}': ['admin'],
  'DELETE /v1/nodes/{name}/allocation': ['admin'],
  'GET /v1/nodes': ['admin', 'auditor'],
  'GET /v1/nodes/{name}': ['admin', 'auditor', 'join'],
  'PATCH /v1/nodes/{name}': ['admin'],
  'DELETE /v1/nodes/{name}': ['admin'],
  'GET /v1/nodes/{name}/unique-ip': ['admin', 'auditor', 'join', 'cloudcore'],
  'POST /v1/nodes/{name}/registration': ['admin', 'cloudcore'],
  'GET /v1/hosts': ['admin', 'auditor', 'cloudcore'],
  'GET /v1/addresses/{ip}': ['admin', 'auditor'],
  'GET /v1/addresses/{ip}/history': ['admin', 'auditor'],
  'GET /v1/audit': ['admin', 'auditor'],
  'GET /v1/findings': ['admin', 'auditor'],
  'GET /v1/networks/discovered': ['admin', 'auditor'],
  'POST /v1/reclaim': ['admin'],
  'POST /hooks/kubernetes/nodes': ['admin', 'cloudcore'],
  'POST /v1/tokens': ['admin'],
  'GET /v1/tokens': ['admin', 'auditor'],
  'GET /v1/tokens/{id}': ['admin', 'auditor'],
  'DELETE /v1/tokens/{id}': ['admin'],
  'POST /v1/nodes/{name}/readdress': ['admin'],
  'POST /v1/readdress': ['admin'],
  'GET /v1/readdress': ['admin', 'auditor'],
  'GET /v1/readdress/{id}': ['admin', 'auditor'],
  'GET /v1/readdress/{id}/nodes': ['admin', 'auditor'],
  'POST /v1/readdress/{id}/stop': ['admin'],
  'GET /northbound/v1/nodes': ['admin', 'auditor', 'northbound'],
  'GET /northbound/v1/nodes/{name}': ['admin', 'auditor', 'northbound'],
  'PATCH /northbound/v1/nodes/{name}': ['admin', 'northbound'],
}

const service = await startService(t)
const { call } = service
const secrets = {} as Record<Role, string>
for (const role of roles) secrets[role] = (await tokenOf(service, role)).secret

/** What the service itself says it has, as `METHOD path`. */
const described = Object.entries((await call('GET', '/openapi.json')).body.paths).flatMap(([path, item]) =>
  Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
)
const values: Record<string, string> = { '{name}': 'none', '{id}': '1', '{address}': '10.99.0.1', '{ip}': '10.99.0.1' }
/** Every route that takes a token, with a HEAD for each GET, which nobody describes. */
const routes = Object.entries(table).flatMap(([route, allowed]): [string, string, Role[]][] => {
  const [method, pattern] = route.split(' ') as [string, string]
  const path = pattern.replace(/\{\w+\}/g, (name) => values[name]!)
  if (allowed === 'open') return []
  return method === 'GET'
    ? [
        ['GET', path, allowed],
        ['HEAD', path, allowed],
      ]
    : [[method, path, allowed]]
})

t.test('the table here has every route of the description, and no other', async (t) => {
  t.same(described.sort(), Object.keys(table).sort())
})

t.test('every role meets exactly the routes that are its own', async (t) => {
  const before = await snapshot(service)
  for (const [method, path, allowed] of routes) {
    const body = ['POST', 'PATCH', 'PUT'].includes(method) ? { unknown: 1 } : undefined
    for (const role of roles) {
      const answer = await call(method, path, body, { token: secrets[role] })
      if (allowed.includes(role)) {
        t.ok([200, 400, 404].includes(answer.status), `${role} ${method} ${path}: let in (${answer.status})`)
      } else if (method === 'HEAD') {
        t.equal(answer.status, 403, `${role} HEAD ${path}`)
      } else {
        problem(t, answer, 403, 'forbidden', `${role} ${method} ${path}`)
      }
    }
  }
  t.same(await snapshot(service), before)
})

t.test('no route lets in who has no token, or one with a typo', async (t) => {
  const typo = secrets.admin.slice(0, -1) + (secrets.admin.endsWith('A') ? 'B' : 'A')
  for (const [method, path] of routes) {
    for (const token of method === 'HEAD' ? [null] : [null, typo]) {
      const name = `${method} ${path} ${token === null ? 'without' : 'with a typo'}`
      const answer = await call(method, path, undefined, { token })
      if (method === 'HEAD') t.equal(answer.status, 401, name)
      else problem(t, answer, 401, 'unauthorized', name)
      t.match(answer.headers.get('www-authenticate'), /^Bearer/, `${name}: says how`)
    }
  }
  t.notMatch(service.lines.join('\n'), typo, 'and the log does not keep what was tried')
})

t.test('what is not a bearer token is none', async (t) => {
  const other = await startService(t)
  const token = other.adminToken
  for (const authorization of [
    '',
    'Bearer',
    'Bearer ',
    `Basic ${Buffer.from(`admin:${token}`).toString('base64')}`,
    token,
    `Token ${token}`,
    `Bearer ${token} ${token}`,
    `Bearer "${token}"`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${'x'.repeat(8000)}`,
    "Bearer ' or 1=1 --",
  ]) {
    const answer = await other.call('GET', '/v1/pools', undefined, { token: null, headers: { authorization } })
    problem(t, answer, 401, 'unauthorized', authorization.slice(0, 20))
  }
  for (const path of [`/v1/pools?token=${token}`, `/v1/pools?access_token=${token}`]) {
    problem(t, await other.call('GET', path, undefined, { token: null }), 401, 'unauthorized', 'not in the query')
  }
  const lower = await other.call('GET', '/v1/pools', undefined, {
    token: null,
    headers: { authorization: `bearer ${token}` },
  })
  t.equal(lower.status, 200, 'the scheme may be written small')
})

t.test('open routes need no token, and do not mind a wrong one', async (t) => {
  for (const path of ['/livez', '/readyz', '/openapi.json', '/join.sh', '/docs']) {
    for (const token of [null, 'wrong']) {
      const { status } = await call('GET', path, undefined, { token })
      t.ok(status === 200 || (path === '/docs' && status === 302), `${path}: ${status}`)
    }
  }
})

t.test('unknown route, then token, then role, then body', async (t) => {
  problem(t, await call('GET', '/v1/nothing', undefined, { token: null }), 404, 'route_not_found')
  problem(t, await call('POST', '/v1/nothing', '{bad'), 404, 'route_not_found', 'whatever the body is')
  problem(t, await call('POST', '/v1/pools', '{bad', { token: null }), 401, 'unauthorized')
  problem(t, await call('POST', '/v1/pools', '{bad', { token: secrets.join }), 403, 'forbidden')
  problem(t, await call('POST', '/v1/pools?nope=1', { name: 7 }, { token: secrets.auditor }), 403, 'forbidden')
  problem(t, await call('POST', '/v1/pools', '{bad', { token: secrets.admin }), 400, 'malformed_json')
})

t.test('who guesses is slowed down; who has a token never is', async (t) => {
  const other = await startService(t)
  const seen = new Set<number>()
  for (let guess = 0; guess < 1000 && !seen.has(429); guess++) {
    const answer = await other.call('GET', '/v1/pools', undefined, { token: `guess-${guess}` })
    seen.add(answer.status)
    if (answer.status === 429) {
      problem(t, answer, 429, 'rate_limited')
      t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/)
    }
  }
  t.same([...seen], [401, 429])
  t.equal((await other.call('GET', '/v1/pools')).status, 200)
  t.equal((await other.call('GET', '/livez', undefined, { token: null })).status, 200)
})

t.test('no secret is ever in the log', async (t) => {
  const log = service.lines.join('\n')
  for (const secret of [service.adminToken, ...Object.values(secrets)]) t.notOk(log.includes(secret))
  t.notMatch(log, /Bearer (?!\$)/, 'nor anything that was sent as one')
  t.match(log, '"actor":"admin:', 'though it says who did what')
})
