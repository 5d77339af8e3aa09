import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, problem, tokenOf } from './support.js'

// Two processes, one database, no Redis: whatever one answers holds for the other at once.
const one = await startService(t)
const other = await startService(t, { databaseUrl: one.databaseUrl, adminToken: one.adminToken })

t.test('a token that is revoked on one replica is dead on the other within a second', async (t) => {
  const { secret: token, id } = await tokenOf(one, 'auditor')
  const ask = () => other.call('GET', '/v1/pools', undefined, { token })
  t.equal((await ask()).status, 200)
  let revokedAt = Number.POSITIVE_INFINITY
  const revoking = one.call('DELETE', `/v1/tokens/${id}`).then(({ status }) => {
    t.equal(status, 204)
    revokedAt = performance.now()
  })
  // Asked all the time, so that nothing that is remembered grows old by itself. What counts is when a request that was
  // let in set out: how busy this machine is adds nothing to that.
  for (let late = Number.NEGATIVE_INFINITY; ; ) {
    const asked = performance.now()
    if ((await ask()).status === 401) break
    late = asked - revokedAt
    if (late > 1_000) return t.fail(`let in ${Math.round(late)} ms after it was revoked`)
  }
  await revoking
  problem(t, await ask(), 401, 'unauthorized')
})

t.test('what one replica has done the other answers', async (t) => {
  const first = await give(one, 'shared', { displayIp: '192.168.1.1' })
  t.same((await other.call('POST', '/v1/allocations', { nodeName: 'shared' })).body, first)
  t.equal((await other.call('GET', '/v1/nodes/shared/unique-ip')).body.uniqueIp, first.uniqueIp)
  const etag = (await one.call('GET', '/v1/nodes/shared')).headers.get('etag')!
  const headers = { 'if-match': etag }
  t.equal((await other.call('PATCH', '/v1/nodes/shared', { displayIp: null }, { headers })).status, 200)
  problem(t, await one.call('PATCH', '/v1/nodes/shared', {}, { headers }), 412, 'precondition_failed')
  const cursor = (await one.call('GET', '/v1/audit?limit=1')).body.nextCursor
  t.equal((await other.call('GET', `/v1/audit?limit=1&cursor=${cursor}`)).status, 200, 'also the next page')
})

t.test('a pool that closes on one replica gives nothing on the other', async (t) => {
  await makePool(one, 'closing', '10.1.0.0/24')
  await give(other, 'before', { pool: 'closing' })
  await one.call('PATCH', '/v1/pools/closing', { state: 'draining' })
  problem(
    t,
    await other.call('POST', '/v1/allocations', { nodeName: 'after', pool: 'closing' }),
    409,
    'pool_not_active',
  )
  t.equal((await other.call('POST', '/v1/allocations', { nodeName: 'before' })).status, 200, 'who holds keeps all')
})

t.test('one node asked for on both at once has one address', async (t) => {
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(
      [one, other, one, other].map((replica) => replica.call('POST', '/v1/allocations', { nodeName: `both-${round}` })),
    )
    t.same(answers.map((answer) => answer.status).sort(), [200, 200, 200, 201])
    t.equal(new Set(answers.map((answer) => `${answer.body.uniqueIp} ${answer.body.sequence}`)).size, 1)
  }
})
