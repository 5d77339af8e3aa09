import t from 'tap'
import { startService } from '../support/service.js'
import { give, paths, problem, snapshot, sql, tokenOf, until } from './support.js'

const service = await startService(t)
const { call } = service

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
