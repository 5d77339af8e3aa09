import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, problem, snapshot, utilization } from './support.js'

const service = await startService(t)
const { call } = service

t.test('a reservation in a /48 is counted to the last address', async (t) => {
  const { text } = await makePool(service, 'large', 'fd01::/48', {
    reservations: [{ start: 'fd01:0:0:8000::', end: 'fd01::ffff:ffff:ffff:ffff:ffff', reason: 'upper half' }],
  })
  t.same(utilization(text), {
    capacity: 2n ** 80n - 1n,
    allocated: 0n,
    quarantined: 0n,
    reserved: 2n ** 79n,
    free: 2n ** 79n - 1n,
  })
})

t.test('reservations keep addresses back, one by one or as a range', async (t) => {
  await makePool(service, 'kept', '10.10.0.0/29')
  const made = await call('POST', '/v1/pools/kept/reservations', {
    start: '10.10.0.2',
    end: '10.10.0.4',
    reason: 'gateways',
  })
  t.equal(made.status, 201)
  t.match(made.body, { id: /.+/, start: '10.10.0.2', end: '10.10.0.4', reason: 'gateways' })
  const one = await call('POST', '/v1/pools/kept/reservations', { start: '10.10.0.6', reason: 'printer' })
  t.match(one.body, { start: '10.10.0.6', end: '10.10.0.6' }, 'without an end it is one address')
  t.match((await call('GET', '/v1/pools/kept')).body, {
    reservations: [{ id: made.body.id }, { id: one.body.id }],
    utilization: { capacity: 6, reserved: 4, free: 2 },
  })
  t.same(
    [
      (await give(service, 'kept-1', { pool: 'kept' })).uniqueIp,
      (await give(service, 'kept-2', { pool: 'kept' })).uniqueIp,
    ].sort(),
    ['10.10.0.1', '10.10.0.5'],
  )
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'kept-3', pool: 'kept' }), 409, 'pool_exhausted')
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'kept-3', address: '10.10.0.3' }),
    422,
    'address_reserved',
  )
  t.equal((await call('DELETE', `/v1/pools/kept/reservations/${made.body.id}`)).status, 204)
  problem(t, await call('DELETE', `/v1/pools/kept/reservations/${made.body.id}`), 404, 'reservation_not_found')
  t.equal((await give(service, 'kept-3', { address: '10.10.0.3' })).uniqueIp, '10.10.0.3', 'given back, it is free')
})

t.test('reservations that cannot be are refused', async (t) => {
  await makePool(service, 'strict', '10.11.0.0/24')
  await makePool(service, 'strict-v6', 'fd06::/64')
  await give(service, 'strict-holder', { address: '10.11.0.50' })
  await call('POST', '/v1/pools/strict/reservations', { start: '10.11.0.10', end: '10.11.0.20', reason: 'first' })
  const before = await snapshot(service)
  const cases: [object, number, string][] = [
    [{ start: '10.11.0.50' }, 409, 'address_in_use'],
    [{ start: '10.11.0.40', end: '10.11.0.60' }, 409, 'address_in_use'],
    [{ start: '10.11.0.10' }, 409, 'reservation_overlap'],
    [{ start: '10.11.0.20', end: '10.11.0.30' }, 409, 'reservation_overlap'],
    [{ start: '10.11.0.1', end: '10.11.0.30' }, 409, 'reservation_overlap'],
    [{ start: '10.12.0.1' }, 422, 'reservation_outside_pool'],
    [{ start: '10.11.0.250', end: '10.11.1.5' }, 422, 'reservation_outside_pool'],
    [{ start: 'fd06::1' }, 422, 'reservation_outside_pool'],
    [{ start: '10.11.0.9', end: '10.11.0.8' }, 422, 'invalid_range'],
    [{ start: '10.11.0.9', end: 'fd06::8' }, 422, 'invalid_range'],
  ]
  for (const [range, status, code] of cases) {
    const answer = await call('POST', '/v1/pools/strict/reservations', { ...range, reason: 'no' })
    problem(t, answer, status, code, JSON.stringify(range))
  }
  problem(
    t,
    await call('POST', '/v1/pools/nowhere/reservations', { start: '10.11.0.1', reason: 'x' }),
    404,
    'pool_not_found',
  )
  problem(t, await call('DELETE', '/v1/pools/strict/reservations/999999'), 404, 'reservation_not_found')
  problem(t, await call('DELETE', '/v1/pools/nowhere/reservations/1'), 404, 'pool_not_found')
  t.same(await snapshot(service), before)
})

t.test('a reservation belongs to its pool: another pool cannot delete it', async (t) => {
  const { body } = await call('POST', '/v1/pools/strict-v6/reservations', { start: 'fd06::7', reason: 'mine' })
  problem(t, await call('DELETE', `/v1/pools/strict/reservations/${body.id}`), 404, 'reservation_not_found')
  for (const id of ['x', '0', '-1', '99999999999999999999999999', '1.5']) {
    const answer = await call('DELETE', `/v1/pools/strict-v6/reservations/${id}`)
    t.ok([400, 404].includes(answer.status), `${id}: ${answer.status}`)
    problem(t, answer, answer.status, answer.status === 404 ? 'reservation_not_found' : 'validation_failed', id)
  }
  t.equal((await call('DELETE', `/v1/pools/strict-v6/reservations/${body.id}`)).status, 204)
})

t.test('reservations given with a pool are checked before anything is made', async (t) => {
  const before = await snapshot(service)
  const make = (reservations: object[]) =>
    call('POST', '/v1/pools', { name: 'atomic', cidr: '10.13.0.0/24', reservations })
  const overlap = [
    { start: '10.13.0.1', end: '10.13.0.5', reason: 'a' },
    { start: '10.13.0.5', reason: 'b' },
  ]
  problem(t, await make(overlap), 409, 'reservation_overlap')
  problem(t, await make([{ start: '10.13.1.1', reason: 'a' }]), 422, 'reservation_outside_pool')
  problem(t, await make([{ start: '10.13.0.2', end: '10.13.0.1', reason: 'a' }]), 422, 'invalid_range')
  t.same(await snapshot(service), before)
})

t.test('a quarantined address may be reserved and counts once, as reserved', async (t) => {
  await makePool(service, 'once', '10.14.0.0/29')
  await give(service, 'once', { address: '10.14.0.3' })
  await call('DELETE', '/v1/nodes/once/allocation')
  t.match((await call('GET', '/v1/pools/once')).body.utilization, { quarantined: 1, reserved: 0, free: 5 })
  const { body, status } = await call('POST', '/v1/pools/once/reservations', {
    start: '10.14.0.3',
    reason: 'kept back',
  })
  t.equal(status, 201)
  t.same((await call('GET', '/v1/pools/once')).body.utilization, {
    capacity: 6,
    allocated: 0,
    quarantined: 0,
    reserved: 1,
    free: 5,
  })
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'once', address: '10.14.0.3' }), 422, 'address_reserved')
  t.not((await give(service, 'once', { pool: 'once' })).uniqueIp, '10.14.0.3', 'nothing sticks to a reserved address')
  await endQuarantine(service, '10.14.0.3')
  t.same((await call('GET', '/v1/pools/once')).body.utilization, {
    capacity: 6,
    allocated: 1,
    quarantined: 0,
    reserved: 1,
    free: 4,
  })
  t.equal((await call('DELETE', `/v1/pools/once/reservations/${body.id}`)).status, 204)
  t.same((await call('GET', '/v1/pools/once')).body.utilization, {
    capacity: 6,
    allocated: 1,
    quarantined: 0,
    reserved: 0,
    free: 5,
  })
})

t.test('reserving the edges of a pool takes nothing from its capacity', async (t) => {
  await makePool(service, 'rim', '10.15.0.0/29')
  t.equal(
    (await call('POST', '/v1/pools/rim/reservations', { start: '10.15.0.0', end: '10.15.0.1', reason: 'low' })).status,
    201,
  )
  t.equal((await call('POST', '/v1/pools/rim/reservations', { start: '10.15.0.7', reason: 'top' })).status, 201)
  t.same((await call('GET', '/v1/pools/rim')).body.utilization, {
    capacity: 6,
    allocated: 0,
    quarantined: 0,
    reserved: 1,
    free: 5,
  })
})
