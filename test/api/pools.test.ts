import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, paths, problem, snapshot, utilization } from './support.js'

const service = await startService(t)
const { call } = service

// One pool of the largest size lies over everything else in 10/8.
t.equal((await call('DELETE', '/v1/pools/default')).status, 204)

t.test('a pool answers with all that it is', async (t) => {
  const made = await call('POST', '/v1/pools', {
    name: 'whole',
    cidr: '10.1.0.0/24',
    reservations: [
      { start: '10.1.0.1', end: '10.1.0.9', reason: 'gateways' },
      { start: '10.1.0.200', reason: 'printer' },
    ],
    quarantineSeconds: 60,
    priority: 7,
    nodeSelector: { site: 'hamburg' },
    state: 'draining',
    description: 'Hamburg',
  })
  t.equal(made.status, 201)
  t.match(made.body, {
    name: 'whole',
    cidr: '10.1.0.0/24',
    quarantineSeconds: 60,
    priority: 7,
    nodeSelector: { site: 'hamburg' },
    state: 'draining',
    description: 'Hamburg',
    utilization: { capacity: 254, allocated: 0, quarantined: 0, reserved: 10, free: 244 },
  })
  const got = await call('GET', '/v1/pools/whole')
  t.equal(got.status, 200)
  t.same(got.body, made.body, 'what was answered is what is kept')
  t.match(got.headers.get('etag'), /^"[^"]+"$/, 'with an ETag')
  const { items, nextCursor } = (await call('GET', '/v1/pools')).body
  t.same(
    items.find((pool: { name: string }) => pool.name === 'whole'),
    made.body,
    'and in the list',
  )
  t.equal(nextCursor, null)
})

t.test('what is not said has the documented default', async (t) => {
  const { body } = await makePool(service, 'plain', '10.1.1.0/24')
  t.match(body, { state: 'active', priority: 100, quarantineSeconds: 3600, nodeSelector: null, description: null })
})

t.test('capacity is exact from the smallest pool to the largest', async (t) => {
  const sizes: [string, bigint][] = [
    ['10.2.0.1/32', 1n],
    ['10.2.0.2/31', 2n],
    ['10.2.0.4/30', 2n],
    ['10.2.0.8/29', 6n],
    ['10.2.1.0/24', 254n],
    ['10.3.0.0/16', 65_534n],
    ['11.0.0.0/8', 2n ** 24n - 2n],
    ['fd00:1::1/128', 1n],
    ['fd00:2::/127', 2n],
    ['fd00:3::/126', 3n],
    ['fd00:4::/120', 255n],
    ['fd00:5::/64', 2n ** 64n - 1n],
    ['fd00:6::/48', 2n ** 80n - 1n],
  ]
  for (const [index, [cidr, capacity]] of sizes.entries()) {
    const name = `size-${index}`
    const made = await makePool(service, name, cidr)
    const expected = { capacity, allocated: 0n, quarantined: 0n, reserved: 0n, free: capacity }
    t.same(utilization(made.text), expected, `${cidr}: when made`)
    const { uniqueIp } = await give(service, `one-of-${index}`, { pool: name })
    const used = { ...expected, allocated: 1n, free: capacity - 1n }
    t.same(utilization((await call('GET', `/v1/pools/${name}`)).text), used, `${cidr}: with one allocated`)
    t.equal((await call('DELETE', `/v1/allocations/${uniqueIp}`)).status, 200)
    t.same(
      utilization((await call('GET', `/v1/pools/${name}`)).text),
      { ...expected, quarantined: 1n, free: capacity - 1n },
      `${cidr}: with one in quarantine`,
    )
    await endQuarantine(service, uniqueIp)
    t.same(utilization((await call('GET', `/v1/pools/${name}`)).text), expected, `${cidr}: free the moment it is over`)
    t.equal((await call('DELETE', `/v1/pools/${name}`)).status, 204, `${cidr}: deleted`)
  }
})

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

t.test('network, broadcast and anycast addresses are never handed out', async (t) => {
  const pools: [string, string[]][] = [
    ['10.4.0.0/32', ['10.4.0.0']],
    ['10.4.0.2/31', ['10.4.0.2', '10.4.0.3']],
    ['10.4.0.4/30', ['10.4.0.5', '10.4.0.6']],
    ['10.4.0.8/29', ['10.4.0.10', '10.4.0.11', '10.4.0.12', '10.4.0.13', '10.4.0.14', '10.4.0.9']],
    ['fd02::1/128', ['fd02::1']],
    ['fd02::2/127', ['fd02::2', 'fd02::3']],
    ['fd02::4/126', ['fd02::5', 'fd02::6', 'fd02::7']],
  ]
  for (const [index, [cidr, usable]] of pools.entries()) {
    const name = `edges-${index}`
    await makePool(service, name, cidr)
    const given: string[] = []
    for (const [node] of usable.entries()) given.push((await give(service, `${name}-${node}`, { pool: name })).uniqueIp)
    t.same(given.sort(), usable, `${cidr}: all of it`)
    const full = await call('POST', '/v1/allocations', { nodeName: `${name}-late`, pool: name })
    problem(t, full, 409, 'pool_exhausted', `${cidr} is full`)
  }
})

t.test('an explicit network, broadcast or anycast address is refused as reserved', async (t) => {
  await makePool(service, 'edges-v4', '10.5.0.0/24')
  await makePool(service, 'edges-v6', 'fd03::/64')
  for (const address of ['10.5.0.0', '10.5.0.255', 'fd03::']) {
    problem(t, await call('POST', '/v1/allocations', { nodeName: 'edge', address }), 422, 'address_reserved', address)
  }
  t.equal(
    (await give(service, 'last-v6', { address: 'fd03::ffff:ffff:ffff:ffff' })).uniqueIp,
    'fd03::ffff:ffff:ffff:ffff',
  )
})

t.test('a second pool of a name, and one that overlaps, are refused and name what is in the way', async (t) => {
  await makePool(service, 'first', '10.6.0.0/16')
  const before = await snapshot(service)
  problem(t, await call('POST', '/v1/pools', { name: 'first', cidr: '10.60.0.0/16' }), 409, 'pool_exists')
  for (const cidr of ['10.6.0.0/16', '10.6.1.0/24', '10.0.0.0/8', '10.6.255.255/32']) {
    const { detail } = problem(t, await call('POST', '/v1/pools', { name: 'second', cidr }), 409, 'pool_overlap', cidr)
    t.match(detail, /first|whole|plain|edges/, 'it names the other pool')
  }
  const { detail } = (await call('POST', '/v1/pools', { name: 'second', cidr: '10.6.1.0/24' })).body
  t.match(detail, 'first')
  t.same(await snapshot(service), before)
})

t.test('ranges that no node can use are refused', async (t) => {
  const before = await snapshot(service)
  const unusable = [
    '127.0.0.0/8',
    '127.1.0.0/16',
    '169.254.0.0/16',
    '169.254.7.0/24',
    '224.0.0.0/4',
    '239.1.0.0/16',
    '0.0.0.0/8',
    '0.1.0.0/16',
    '240.0.0.0/4',
    '255.255.255.255/32',
    '0.0.0.0/0',
    '::1/128',
    'fe80::/10',
    'fe80::/64',
    'ff00::/8',
    'ff02::/16',
    '::/0',
  ]
  for (const cidr of unusable) {
    problem(t, await call('POST', '/v1/pools', { name: 'unusable', cidr }), 422, 'cidr_not_usable', cidr)
  }
  t.same(await snapshot(service), before)
})

t.test('host bits in a CIDR are refused, and the right network is named', async (t) => {
  const before = await snapshot(service)
  for (const [cidr, right] of [
    ['10.7.0.1/16', '10.7.0.0/16'],
    ['10.7.0.255/31', '10.7.0.254/31'],
    ['fd04::1/64', 'fd04::/64'],
    ['fd04:0:0:0:0:0:0:ffff/112', 'fd04::/112'],
  ] as const) {
    const answer = await call('POST', '/v1/pools', { name: 'bits', cidr })
    const { errors } = problem(t, answer, 400, 'validation_failed', cidr)
    t.same(paths(answer), ['/cidr'])
    t.ok(errors[0].message.includes(right), `${errors[0].message} names ${right}`)
  }
  t.same(await snapshot(service), before)
})

t.test('an IPv6 pool answers in canonical text', async (t) => {
  const { body } = await makePool(service, 'canonical', 'FD05:0000:0::0/64')
  t.equal(body.cidr, 'fd05::/64')
  t.equal((await give(service, 'canonical', { address: 'FD05:0:0:0:0:0:0:00AB' })).uniqueIp, 'fd05::ab')
})

t.test('a pool with allocated or quarantined addresses stays', async (t) => {
  await makePool(service, 'used', '10.8.0.0/30')
  const { uniqueIp } = await give(service, 'used', { pool: 'used' })
  problem(t, await call('DELETE', '/v1/pools/used'), 409, 'pool_in_use', 'allocated')
  await call('DELETE', '/v1/nodes/used/allocation')
  problem(t, await call('DELETE', '/v1/pools/used'), 409, 'pool_in_use', 'quarantined')
  await endQuarantine(service, uniqueIp)
  const gone = await call('DELETE', '/v1/pools/used')
  t.equal(gone.status, 204)
  t.equal(gone.text, '')
  problem(t, await call('GET', '/v1/pools/used'), 404, 'pool_not_found')
  problem(t, await call('DELETE', '/v1/pools/used'), 404, 'pool_not_found')
})

t.test('a pool that drains or is disabled gives nothing', async (t) => {
  for (const [state, cidr] of [
    ['draining', '10.9.0.0/24'],
    ['disabled', '10.9.1.0/24'],
  ] as const) {
    await makePool(service, state, cidr, { state })
    const byName = await call('POST', '/v1/allocations', { nodeName: 'nobody', pool: state })
    problem(t, byName, 409, 'pool_not_active', `${state} by name`)
    const byAddress = await call('POST', '/v1/allocations', {
      nodeName: 'nobody',
      address: cidr.replace('.0/24', '.7'),
    })
    problem(t, byAddress, 409, 'pool_not_active', `${state} by address`)
  }
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
