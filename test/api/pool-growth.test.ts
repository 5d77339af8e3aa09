import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, problem, snapshot } from './support.js'

const service = await startService(t)
const { call } = service
const grow = (pool: string, cidr: string) => call('PATCH', `/v1/pools/${pool}`, { cidr })
const numbers = async (pool: string) => (await call('GET', `/v1/pools/${pool}`)).body.utilization
const fill = async (pool: string) => {
  const given: string[] = []
  for (;;) {
    const answer = await call('POST', '/v1/allocations', { nodeName: `${pool}-${given.length}`, pool })
    if (answer.status !== 201) {
      problem(t, answer, 409, 'pool_exhausted')
      return given.sort()
    }
    given.push(answer.body.uniqueIp)
  }
}

for (const [index, [small, large, usable]] of (
  [
    ['10.1.0.2/31', '10.1.0.0/30', ['10.1.0.1', '10.1.0.2']],
    ['10.1.1.0/32', '10.1.1.0/30', ['10.1.1.1', '10.1.1.2']],
    ['10.1.2.1/32', '10.1.2.0/31', ['10.1.2.0', '10.1.2.1']],
    ['fd01::/127', 'fd01::/126', ['fd01::1', 'fd01::2', 'fd01::3']],
    ['fd02::3/128', 'fd02::2/127', ['fd02::2', 'fd02::3']],
  ] as const
).entries()) {
  t.test(`${small} that grows to ${large} gives its new edges to nobody`, async (t) => {
    const pool = `edge-${index}`
    await makePool(service, pool, small)
    const grown = await grow(pool, large)
    t.equal(grown.status, 200, grown.text)
    t.match(grown.body.utilization, { capacity: usable.length, allocated: 0, free: usable.length })
    t.same(await fill(pool), usable)
    t.match(await numbers(pool), { capacity: usable.length, allocated: usable.length, free: 0 })
  })
}

t.test('an address that would become an edge has to be free first, also of its quarantine', async (t) => {
  await makePool(service, 'taken', '10.2.0.2/31')
  await give(service, 'taken', { address: '10.2.0.3' })
  const before = await snapshot(service)
  problem(t, await grow('taken', '10.2.0.0/30'), 409, 'address_in_use', 'allocated')
  t.same(await snapshot(service), before)
  await call('DELETE', '/v1/nodes/taken/allocation')
  problem(t, await grow('taken', '10.2.0.0/30'), 409, 'address_in_use', 'in quarantine')
  await endQuarantine(service, '10.2.0.3')
  t.match((await grow('taken', '10.2.0.0/30')).body.utilization, { capacity: 2, quarantined: 0, free: 2 })
  t.not(
    (await give(service, 'taken', { pool: 'taken' })).uniqueIp,
    '10.2.0.3',
    'nor does it come back to its last node',
  )
})

t.test('a pool grows to either side, round what it holds, what rests and what is reserved', async (t) => {
  await makePool(service, 'wide', '10.3.0.8/30', {
    reservations: [{ start: '10.3.0.10', end: '10.3.0.11', reason: 'x' }],
  })
  await give(service, 'wide-holder', { address: '10.3.0.9' })
  await call('DELETE', '/v1/nodes/wide-holder/allocation')
  t.match(await numbers('wide'), { capacity: 2, allocated: 0, quarantined: 1, reserved: 1, free: 0 })
  t.match((await grow('wide', '10.3.0.0/28')).body, {
    cidr: '10.3.0.0/28',
    utilization: { capacity: 14, allocated: 0, quarantined: 1, reserved: 2, free: 11 },
  })
  const given = await fill('wide')
  t.equal(given.length, 11)
  for (const kept of ['10.3.0.0', '10.3.0.9', '10.3.0.10', '10.3.0.11', '10.3.0.15'])
    t.notOk(given.includes(kept), kept)
  t.ok(given.includes('10.3.0.8'), 'what was its network address is one like any other')
})

t.test('a pool that would not grow around itself, or into a neighbour, stays as it is', async (t) => {
  await makePool(service, 'mid', '10.4.1.0/24')
  await makePool(service, 'next', '10.4.0.0/24')
  const before = await snapshot(service)
  for (const cidr of ['10.4.1.0/25', '10.4.2.0/24', '10.4.1.128/25', 'fd04::/64']) {
    problem(t, await grow('mid', cidr), 422, 'cidr_not_usable', cidr)
  }
  const { detail } = problem(t, await grow('mid', '10.4.0.0/23'), 409, 'pool_overlap')
  t.match(detail, 'next', 'it names the neighbour')
  problem(t, await grow('mid', '10.4.0.0/22'), 409, 'pool_overlap')
  problem(t, await grow('mid', '10.4.1.1/16'), 400, 'validation_failed')
  problem(t, await grow('mid', '0.0.0.0/0'), 422, 'cidr_not_usable')
  t.same(await snapshot(service), before)
  t.equal((await grow('mid', '10.4.1.0/24')).status, 200, 'the one it has is no change')
  t.same(await snapshot(service), before)
})
