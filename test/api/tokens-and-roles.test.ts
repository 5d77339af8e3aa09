import t from 'tap'
import { startService } from '../support/service.js'
import { give, paths, problem, snapshot, sql, tokenOf, until } from './support.js'

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

t.test('a token answers with all that it is, its secret once', async (t) => {
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const made = await call('POST', '/v1/tokens', {
    role: 'join',
    namePattern: 'a-*',
    maxUses: 5,
    expiresAt,
    description: 'for a',
  })
  t.equal(made.status, 201)
  const { secret, id, createdAt, ...rest } = made.body
  t.same(rest, {
    role: 'join',
    namePattern: 'a-*',
    maxUses: 5,
    uses: 0,
    expiresAt,
    description: 'for a',
    lastUsedAt: null,
  })
  t.ok(secret.length >= 32)
  t.match(createdAt, /Z$/)
  const got = await call('GET', `/v1/tokens/${id}`)
  t.same(got.body, { id, createdAt, ...rest }, 'without the secret')
  const listed = (await call('GET', '/v1/tokens')).body.items
  t.same(
    listed.find((token: { id: string }) => token.id === id),
    got.body,
  )
  t.notMatch(JSON.stringify(listed), secret)
  const dump = await sql(
    service.databaseUrl,
    'select t::text as text from tokens t union all select a::text from audit a',
  )
  t.notMatch(JSON.stringify(dump), secret, 'the database has a hash')
  const [row] = (await call('GET', '/v1/audit?action=token.created&limit=1')).body.items
  t.match(row, { action: 'token.created', after: { id, role: 'join' } })
  const plain = (await call('POST', '/v1/tokens', { role: 'auditor' })).body
  t.match(plain, { role: 'auditor', namePattern: null, maxUses: null, uses: 0, expiresAt: null, description: null })
  problem(t, await call('GET', '/v1/tokens/none'), 404, 'token_not_found')
  problem(t, await call('DELETE', '/v1/tokens/none'), 404, 'token_not_found')
})

t.test('pattern and uses are for join tokens only; other nonsense is refused, too', async (t) => {
  const before = await snapshot(service)
  const cases: [object, string[]][] = [
    [{}, ['/role']],
    [{ role: 'root' }, ['/role']],
    [{ role: 'Admin' }, ['/role']],
    [{ role: 'admin', namePattern: 'a-*' }, ['/namePattern']],
    [{ role: 'cloudcore', maxUses: 5 }, ['/maxUses']],
    [{ role: 'northbound', namePattern: 'a', maxUses: 5 }, ['/maxUses', '/namePattern']],
    [{ role: 'join', maxUses: 0 }, ['/maxUses']],
    [{ role: 'join', maxUses: 1.5 }, ['/maxUses']],
    [{ role: 'join', maxUses: '5' }, ['/maxUses']],
    [{ role: 'join', namePattern: '' }, ['/namePattern']],
    [{ role: 'join', namePattern: '[a-z]' }, ['/namePattern']],
    [{ role: 'join', expiresAt: 'tomorrow' }, ['/expiresAt']],
    [{ role: 'join', expiresAt: '2999-02-30T00:00:00Z' }, ['/expiresAt']],
    [{ role: 'join', expiresAt: '2001-01-01T00:00:00Z' }, ['/expiresAt']],
    [{ role: 'join', expiresAt: 4102444800 }, ['/expiresAt']],
    [{ role: 'join', secret: 'mine' }, ['/secret']],
    [{ role: 'join', id: 'mine', uses: 0 }, ['/id', '/uses']],
  ]
  for (const [body, wrong] of cases) {
    const answer = await call('POST', '/v1/tokens', body)
    problem(t, answer, 400, 'validation_failed', JSON.stringify(body))
    t.same(paths(answer), wrong, JSON.stringify(body))
  }
  t.same(await snapshot(service), before)
})

t.test('only a 201 uses a token up; used up, it repeats the 200 for the names it allocated', async (t) => {
  const { secret, id } = await tokenOf(service, 'join', { maxUses: 2 })
  const ask = (nodeName: string, query = '', more = {}) =>
    call('POST', `/v1/allocations${query}`, { nodeName, ...more }, { token: secret })
  const uses = async () => (await call('GET', `/v1/tokens/${id}`)).body.uses
  await give(service, 'others-node')
  const first = await ask('uses-1')
  t.equal(first.status, 201)
  t.equal((await ask('uses-1')).status, 200)
  t.equal((await ask('uses-x', '?dryRun=true')).status, 201)
  problem(t, await ask('uses-x', '', { pool: 'nowhere' }), 404, 'pool_not_found')
  t.equal(await uses(), 1, 'a repetition, a dry run and a refusal use nothing up')
  t.equal((await ask('uses-2')).status, 201)
  t.equal(await uses(), 2)
  const before = await snapshot(service)
  const refused = await ask('uses-3')
  t.ok([401, 403].includes(refused.status), `used up: ${refused.status}`)
  problem(t, refused, refused.status, refused.status === 401 ? 'unauthorized' : 'forbidden')
  const again = await ask('uses-1')
  t.equal(again.status, 200)
  t.same(again.body, first.body)
  t.equal((await call('GET', '/v1/nodes/uses-1/unique-ip', undefined, { token: secret })).status, 200)
  problem(t, await ask('others-node'), 403, 'forbidden', 'a name that somebody else allocated')
  t.same(await snapshot(service), before)
})

t.test('a token with one use is used once, however many ask at once', async (t) => {
  const { secret } = await tokenOf(service, 'join', { maxUses: 1 })
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      call('POST', '/v1/allocations', { nodeName: `rush-${index}` }, { token: secret }),
    ),
  )
  t.equal(answers.filter((answer) => answer.status === 201).length, 1)
  t.equal(
    (await call('GET', '/v1/allocations?state=allocated&limit=1000')).body.items.filter((item: { nodeName: string }) =>
      item.nodeName.startsWith('rush-'),
    ).length,
    1,
  )
})

t.test('a revoked token is dead within a second', async (t) => {
  const { secret, id } = await tokenOf(service, 'auditor')
  t.equal((await call('GET', '/v1/pools', undefined, { token: secret })).status, 200)
  t.equal((await call('DELETE', `/v1/tokens/${id}`)).status, 204)
  const revoked = Date.now()
  await until('401', async () => (await call('GET', '/v1/pools', undefined, { token: secret })).status === 401)
  t.ok(Date.now() - revoked < 5000, 'soon')
  problem(t, await call('GET', `/v1/tokens/${id}`), 404, 'token_not_found')
  problem(t, await call('DELETE', `/v1/tokens/${id}`), 404, 'token_not_found')
})

t.test('a token ends when it expires', async (t) => {
  const { secret } = await tokenOf(service, 'auditor', { expiresAt: new Date(Date.now() + 1500).toISOString() })
  t.equal((await call('GET', '/v1/pools', undefined, { token: secret })).status, 200)
  await until('401', async () => (await call('GET', '/v1/pools', undefined, { token: secret })).status === 401)
})

t.test('using a token is seen', async (t) => {
  const { secret, id } = await tokenOf(service, 'auditor')
  await call('GET', '/v1/pools', undefined, { token: secret })
  const seen = await until('lastUsedAt', async () => (await call('GET', `/v1/tokens/${id}`)).body.lastUsedAt ?? false)
  t.match(seen, /Z$/)
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
