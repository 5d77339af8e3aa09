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
