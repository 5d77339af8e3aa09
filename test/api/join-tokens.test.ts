import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, problem, snapshot, tokenOf, until } from './support.js'

const service = await startService(t)
const { call } = service

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

/** What one join token may do, and how often it has. */
async function joinToken(more: object) {
  const { secret: token, id } = await tokenOf(service, 'join', more)
  return {
    id,
    uses: async () => (await call('GET', `/v1/tokens/${id}`)).body.uses as number,
    ask: (nodeName: string, body: object = {}, query = '') =>
      call('POST', `/v1/allocations${query}`, { nodeName, ...body }, { token }),
    batch: async (names: string[], more: object = {}, query = '') => {
      const items = names.map((nodeName) => ({ nodeName }))
      const answer = await call('POST', `/v1/allocations/batch${query}`, { items, ...more }, { token })
      return answer.body.results.map((one: { status: number; problem?: { code: string } }) =>
        one.problem ? `${one.status} ${one.problem.code}` : one.status,
      )
    },
    call: (method: string, path: string) => call(method, path, undefined, { token }),
  }
}

t.test('the pattern holds in batches, in dry runs, and for what others have allocated', async (t) => {
  const token = await joinToken({ namePattern: 'kiel-*' })
  await give(service, 'rostock-1')
  const before = await snapshot(service)
  for (const query of ['', '?dryRun=true']) {
    problem(t, await token.ask('rostock-1', {}, query), 403, 'forbidden', `known${query}`)
    problem(t, await token.ask('rostock-2', {}, query), 403, 'forbidden', `new${query}`)
    t.same(
      await token.batch(['rostock-1', 'rostock-2', 'kiel'], {}, query),
      ['403 forbidden', '403 forbidden', '403 forbidden'],
      query,
    )
    t.same(
      await token.batch(['kiel-1', 'rostock-2'], { atomic: true }, query),
      ['409 batch_aborted', '403 forbidden'],
      query,
    )
  }
  t.same(await snapshot(service), before)
  t.same(await token.batch(['rostock-2', 'kiel-1'], {}, '?dryRun=true'), ['403 forbidden', 201])
  t.same(await token.batch(['rostock-2', 'kiel-1']), ['403 forbidden', 201])
  for (const path of [
    '/v1/nodes',
    '/v1/allocations',
    '/northbound/v1/nodes',
    '/v1/audit',
    '/v1/findings',
    '/v1/tokens',
    '/metrics',
  ]) {
    problem(t, await token.call('GET', path), 403, 'forbidden', `no list: ${path}`)
  }
  problem(
    t,
    await token.call('DELETE', '/v1/nodes/kiel-1/allocation'),
    403,
    'forbidden',
    'nor is it good for a release',
  )
})

t.test('in a batch each 201 uses one up, and the rest is refused', async (t) => {
  const token = await joinToken({ maxUses: 3 })
  t.same((await token.batch(['u-1', 'u-2', 'u-3', 'u-4'], {}, '?dryRun=true')).sort(), [201, 201, 201, '403 forbidden'])
  t.equal(await token.uses(), 0)
  t.same(await token.batch(['u-1', 'u-2', 'u-3', 'u-4'], { atomic: true }), [
    '409 batch_aborted',
    '409 batch_aborted',
    '409 batch_aborted',
    '403 forbidden',
  ])
  t.equal(await token.uses(), 0, 'what is undone uses nothing up')
  t.same(await token.batch(['u-1', 'u-1', 'u-2'], { atomic: true }), [201, 200, 201])
  t.equal(await token.uses(), 2)
  t.same((await token.batch(['u-1', 'u-2', 'u-3', 'u-4', 'u-5'])).sort(), [
    200,
    200,
    201,
    '403 forbidden',
    '403 forbidden',
  ])
  t.equal(await token.uses(), 3)
  t.same(await token.batch(['u-1', 'u-2'], { atomic: true }), [200, 200], 'used up it repeats')
  problem(t, await token.ask('u-9', {}, '?dryRun=true'), 403, 'forbidden', 'a dry run is refused as the real one')
})

t.test('as many uses as a token has, whoever asks for what at once, one by one or in batches', async (t) => {
  const token = await joinToken({ maxUses: 7 })
  await Promise.all([
    ...Array.from({ length: 12 }, (_, index) => token.ask(`rush-${index}`)),
    token.batch(['rush-b1', 'rush-b2', 'rush-1', 'rush-2'], { atomic: true }),
    token.batch(['rush-c1', 'rush-c2', 'rush-3', 'rush-4']),
  ])
  t.equal(await token.uses(), 7)
  const made = await call('GET', `/v1/audit?actor=join:${token.id}&action=allocation.created&limit=1000`)
  t.equal(made.body.items.length, 7)
})

t.test('a used-up token repeats the 200 with what the device says now, and never makes a new one', async (t) => {
  await makePool(service, 'own', '10.1.0.0/24')
  const token = await joinToken({ maxUses: 1 })
  const first = await token.ask('once', { pool: 'own' })
  t.equal(first.status, 201)
  const moved = await token.ask('once', { displayIp: '192.168.1.7' })
  t.equal(moved.status, 200)
  t.same(moved.body, { ...first.body, displayIp: '192.168.1.7' })
  problem(t, await token.ask('once', { pool: 'default' }), 409, 'allocation_conflict')
  await call('DELETE', '/v1/nodes/once/allocation')
  problem(t, await token.ask('once'), 403, 'forbidden', 'released: it would be a 201')
  await give(service, 'once')
  t.equal((await token.ask('once')).status, 200, 'a name that it allocated once')
})

t.test('an expired token is good for nothing, also not for a repetition', async (t) => {
  const token = await joinToken({ expiresAt: new Date(Date.now() + 1500).toISOString() })
  t.equal((await token.ask('expires')).status, 201)
  await until('401', async () => (await token.ask('expires')).status === 401)
  problem(t, await token.ask('expires'), 401, 'unauthorized')
  t.match(
    (await call('GET', `/v1/tokens/${token.id}`)).body,
    { id: token.id, role: 'join' },
    'though it is still listed',
  )
})
