import t from 'tap'
import { startService } from '../support/service.js'
import { give, problem, snapshot, tokenOf } from './support.js'

const roles = ['admin', 'join', 'cloudcore', 'northbound', 'auditor'] as const
type Role = (typeof roles)[number]

// Every route with the roles that api.md gives it. No test of a role may change anything: bodies and names are such
// that who is let in gets no further than that.
const routes: [method: string, path: string, allowed: Role[]][] = [
  ['POST', '/v1/pools', ['admin']],
  ['GET', '/v1/pools', ['admin', 'auditor']],
  ['GET', '/v1/pools/none', ['admin', 'auditor']],
  ['DELETE', '/v1/pools/none', ['admin']],
  ['POST', '/v1/pools/none/reservations', ['admin']],
  ['DELETE', '/v1/pools/none/reservations/1', ['admin']],
  ['POST', '/v1/allocations', ['admin', 'join']],
  ['GET', '/v1/allocations', ['admin', 'auditor']],
  ['GET', '/v1/allocations/10.99.0.1', ['admin', 'auditor']],
  ['DELETE', '/v1/allocations/10.99.0.1', ['admin']],
  ['DELETE', '/v1/nodes/none/allocation', ['admin']],
  ['GET', '/v1/nodes', ['admin', 'auditor']],
  ['GET', '/v1/nodes/none', ['admin', 'auditor', 'join']],
  ['PATCH', '/v1/nodes/none', ['admin']],
  ['DELETE', '/v1/nodes/none', ['admin']],
  ['GET', '/v1/nodes/none/unique-ip', ['admin', 'auditor', 'join', 'cloudcore']],
  ['POST', '/v1/nodes/none/registration', ['admin', 'cloudcore']],
  ['GET', '/northbound/v1/nodes', ['admin', 'auditor', 'northbound']],
  ['GET', '/northbound/v1/nodes/none', ['admin', 'auditor', 'northbound']],
  ['PATCH', '/northbound/v1/nodes/none', ['admin', 'northbound']],
  ['GET', '/v1/audit', ['admin', 'auditor']],
  ['POST', '/v1/tokens', ['admin']],
  ['GET', '/v1/tokens', ['admin', 'auditor']],
  ['GET', '/v1/tokens/none', ['admin', 'auditor']],
  ['DELETE', '/v1/tokens/none', ['admin']],
]

const service = await startService(t)
const { call } = service
const secrets = {} as Record<Role, string>
for (const role of roles) secrets[role] = (await tokenOf(service, role)).secret

t.test('every role meets exactly the routes that are its own', async (t) => {
  const before = await snapshot(service)
  for (const [method, path, allowed] of routes) {
    const body = method === 'POST' || method === 'PATCH' ? { unknown: 1 } : undefined
    for (const role of roles) {
      const answer = await call(method, path, body, { token: secrets[role] })
      if (allowed.includes(role)) {
        t.ok([200, 400, 404].includes(answer.status), `${role} ${method} ${path}: let in (${answer.status})`)
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
    for (const token of [null, typo]) {
      const name = `${method} ${path} ${token === null ? 'without' : 'with a typo'}`
      const answer = await call(method, path, undefined, { token })
      problem(t, answer, 401, 'unauthorized', name)
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

t.test('a join token with a pattern is good for the names it matches, as a whole', async (t) => {
  const { secret } = await tokenOf(service, 'join', { namePattern: 'hamburg-?-*.edge' })
  await give(service, 'berlin-1')
  const before = await snapshot(service)
  for (const name of [
    'berlin-1',
    'hamburg-1.edge',
    'hamburg-12-a.edge',
    'xhamburg-1-a.edge',
    'hamburg-1-a.edge.more',
    'hamburg-1-aedge',
  ]) {
    problem(
      t,
      await call('POST', '/v1/allocations', { nodeName: name }, { token: secret }),
      403,
      'forbidden',
      `allocate ${name}`,
    )
    problem(t, await call('GET', `/v1/nodes/${name}`, undefined, { token: secret }), 403, 'forbidden', `read ${name}`)
    problem(
      t,
      await call('GET', `/v1/nodes/${name}/unique-ip`, undefined, { token: secret }),
      403,
      'forbidden',
      `unique IP of ${name}`,
    )
  }
  t.same(await snapshot(service), before)
  for (const name of ['hamburg-1-a.edge', 'hamburg-x-a.b.edge', 'hamburg-1-z.edge']) {
    t.equal((await call('POST', '/v1/allocations', { nodeName: name }, { token: secret })).status, 201, name)
    t.equal((await call('GET', `/v1/nodes/${name}`, undefined, { token: secret })).status, 200)
    t.equal((await call('GET', `/v1/nodes/${name}/unique-ip`, undefined, { token: secret })).status, 200)
  }
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
