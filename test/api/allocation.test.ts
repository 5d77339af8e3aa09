import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, problem, snapshot, sql } from './support.js'

const service = await startService(t)
const { call } = service

t.test('a new node gets an address (201), and every repetition the same (200)', async (t) => {
  const before = Date.now()
  const first = await call('POST', '/v1/allocations', {
    nodeName: 'edge-1',
    displayIp: '192.168.1.10',
    nodeUid: '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11',
    labels: { site: 'hamburg' },
  })
  t.equal(first.status, 201)
  const { allocatedAt, sequence, uniqueIp, ...rest } = first.body
  t.same(rest, {
    nodeName: 'edge-1',
    displayIp: '192.168.1.10',
    pool: 'default',
    state: 'allocated',
    nodeUid: '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11',
    labels: { site: 'hamburg' },
    registeredAt: null,
    quarantinedUntil: null,
  })
  t.match(uniqueIp, /^10\.213\.\d+\.\d+$/)
  t.ok(Number.isInteger(sequence) && sequence > 0)
  t.match(allocatedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'UTC by RFC 3339')
  t.ok(Math.abs(Date.parse(allocatedAt) - before) < 60_000)
  const kept = await snapshot(service)
  for (const body of [
    { nodeName: 'edge-1' },
    { nodeName: 'edge-1', displayIp: '192.168.1.10' },
    { nodeName: 'edge-1', pool: 'default' },
    { nodeName: 'edge-1', address: uniqueIp },
  ]) {
    const again = await call('POST', '/v1/allocations', body)
    t.equal(again.status, 200)
    t.same(again.body, first.body)
  }
  t.same(await snapshot(service), kept, 'a repetition changes nothing, and takes no sequence number')
  const read = await call('GET', `/v1/allocations/${uniqueIp}`)
  t.same(read.body, first.body)
  t.match(read.headers.get('etag'), /^"[^"]+"$/)
})

t.test('many nodes at once get one address each, one node many times gets one', async (t) => {
  await makePool(service, 'race', '10.20.0.0/26')
  const many = Array.from({ length: 62 }, (_, index) => give(service, `race-${index}`, { pool: 'race' }))
  const addresses = (await Promise.all(many)).map((allocation) => allocation.uniqueIp)
  t.equal(new Set(addresses).size, 62, 'the whole pool, each address once')
  const one = await Promise.all(
    Array.from({ length: 30 }, () => call('POST', '/v1/allocations', { nodeName: 'race-one' })),
  )
  t.equal(one.filter((answer) => answer.status === 201).length, 1)
  t.equal(one.filter((answer) => answer.status === 200).length, 29)
  t.equal(new Set(one.map((answer) => `${answer.body.uniqueIp} ${answer.body.sequence}`)).size, 1)
})

t.test('display IPs may be shared, and may lie in a pool', async (t) => {
  for (const nodeName of ['clash-1', 'clash-2']) {
    t.equal((await give(service, nodeName, { displayIp: '10.213.0.1' })).displayIp, '10.213.0.1')
  }
  t.equal((await give(service, 'clash-6', { displayIp: 'FE80:0:0::1' })).displayIp, 'fe80::1', 'in canonical text')
})

t.test('a display IP that differs replaces the stored one; absent leaves it, null clears it', async (t) => {
  const first = await give(service, 'moving', { displayIp: '192.168.1.1' })
  const moved = await call('POST', '/v1/allocations', { nodeName: 'moving', displayIp: '192.168.1.2' })
  t.equal(moved.status, 200)
  t.same(moved.body, { ...first, displayIp: '192.168.1.2' }, 'nothing else changes, not the sequence either')
  const [row] = (await call('GET', '/v1/audit?nodeName=moving&limit=1')).body.items
  t.match(row, { action: 'node.updated', before: { displayIp: '192.168.1.1' }, after: { displayIp: '192.168.1.2' } })
  t.equal((await give(service, 'moving')).displayIp, '192.168.1.2')
  t.equal((await give(service, 'moving', { displayIp: null })).displayIp, null)
})

t.test('labels that are given replace the stored ones', async (t) => {
  await give(service, 'labelled', { labels: { site: 'a', rack: '1' } })
  t.same((await give(service, 'labelled')).labels, { site: 'a', rack: '1' })
  t.same((await give(service, 'labelled', { labels: { site: 'b' } })).labels, { site: 'b' })
  t.same((await give(service, 'labelled', { labels: null })).labels, {})
})

t.test('another node UID takes a new sequence number and keeps the address; a first one does not', async (t) => {
  const first = await give(service, 'reborn')
  const known = await call('POST', '/v1/allocations', { nodeName: 'reborn', nodeUid: 'uid-1' })
  t.match(known.body, { nodeUid: 'uid-1', sequence: first.sequence }, 'the first UID that is heard of')
  const again = await call('POST', '/v1/allocations', { nodeName: 'reborn', nodeUid: 'uid-2' })
  t.equal(again.status, 200)
  t.match(again.body, { uniqueIp: first.uniqueIp, nodeUid: 'uid-2' })
  t.ok(again.body.sequence > first.sequence)
  const rows = (await call('GET', '/v1/audit?nodeName=reborn&action=node.reregistered')).body.items
  t.equal(rows.length, 1)
  const kept = await snapshot(service)
  t.same((await call('POST', '/v1/allocations', { nodeName: 'reborn', nodeUid: 'uid-2' })).body, again.body)
  t.same(await snapshot(service), kept)
})

t.test('what is asked for and cannot be had has its own code', async (t) => {
  await makePool(service, 'small', '10.21.0.0/30', { reservations: [{ start: '10.21.0.2', reason: 'gateway' }] })
  await makePool(service, 'other', '10.22.0.0/24')
  await makePool(service, 'draining', '10.23.0.0/24', { state: 'draining' })
  await give(service, 'holder', { address: '10.21.0.1' })
  await give(service, 'resting', { address: '10.22.0.9' })
  t.equal((await call('DELETE', '/v1/allocations/10.22.0.9')).status, 200)
  const before = await snapshot(service)
  const cases: [object, number, string][] = [
    [{ nodeName: 'holder', pool: 'other' }, 409, 'allocation_conflict'],
    [{ nodeName: 'holder', address: '10.22.0.5' }, 409, 'allocation_conflict'],
    [{ nodeName: 'asks', address: '10.21.0.1' }, 409, 'address_in_use'],
    [{ nodeName: 'asks', pool: 'small', address: '10.21.0.1' }, 409, 'address_in_use'],
    [{ nodeName: 'asks', address: '10.22.0.9' }, 409, 'address_quarantined'],
    [{ nodeName: 'asks', pool: 'small' }, 409, 'pool_exhausted'],
    [{ nodeName: 'asks', pool: 'draining' }, 409, 'pool_not_active'],
    [{ nodeName: 'asks', address: '10.23.0.9' }, 409, 'pool_not_active'],
    [{ nodeName: 'asks', pool: 'other', address: '10.21.0.1' }, 422, 'address_not_in_pool'],
    [{ nodeName: 'asks', address: '172.30.0.1' }, 422, 'address_not_in_pool'],
    [{ nodeName: 'asks', address: 'fd99::1' }, 422, 'address_not_in_pool'],
    [{ nodeName: 'asks', address: '10.21.0.2' }, 422, 'address_reserved'],
    [{ nodeName: 'asks', address: '10.21.0.0' }, 422, 'address_reserved'],
    [{ nodeName: 'asks', address: '10.21.0.3' }, 422, 'address_reserved'],
    [{ nodeName: 'asks', pool: 'nowhere' }, 404, 'pool_not_found'],
    [{ nodeName: 'asks', pool: 'nowhere', address: '10.21.0.1' }, 404, 'pool_not_found'],
  ]
  for (const [body, status, code] of cases) {
    problem(t, await call('POST', '/v1/allocations', body), status, code, JSON.stringify(body))
  }
  t.same(await snapshot(service), before, 'and changes nothing')
})

t.test('a full pool gives again the moment something is free', async (t) => {
  await makePool(service, 'tiny', '10.24.0.4/32')
  await give(service, 'tiny-1', { pool: 'tiny' })
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'tiny-2', pool: 'tiny' }), 409, 'pool_exhausted')
  await call('DELETE', '/v1/nodes/tiny-1/allocation')
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'tiny-2', pool: 'tiny' }),
    409,
    'pool_exhausted',
    'quarantine',
  )
  await endQuarantine(service, '10.24.0.4')
  t.equal((await give(service, 'tiny-2', { pool: 'tiny' })).uniqueIp, '10.24.0.4')
})

t.test('without a pool the labels choose, then priority, then the name; the next one when one is full', async (t) => {
  await makePool(service, 'z-early', '10.25.0.1/32', { priority: 1, nodeSelector: { line: 'x' } })
  await makePool(service, 'b-late', '10.25.0.3/32', { priority: 2, nodeSelector: { line: 'x' } })
  await makePool(service, 'a-late', '10.25.0.2/32', { priority: 2, nodeSelector: { line: 'x' } })
  await makePool(service, 'narrow', '10.25.0.4/32', { priority: 0, nodeSelector: { line: 'x', cell: '1' } })
  await makePool(service, 'asleep', '10.25.0.5/32', { priority: 0, nodeSelector: { line: 'x' }, state: 'draining' })
  const labels = { line: 'x', other: 'y' }
  const given: string[] = []
  for (const index of [0, 1, 2, 3]) given.push((await give(service, `line-${index}`, { labels })).pool)
  t.same(given, ['z-early', 'a-late', 'b-late', 'default'], 'a pool without a selector takes every node, in its turn')
  t.equal((await give(service, 'line-cell', { labels: { line: 'x', cell: '1' } })).pool, 'narrow')
  t.equal((await give(service, 'line-none')).pool, 'default', 'no labels match no selector')
})

t.test('asked for by name or by address, the selector of a pool does not matter', async (t) => {
  await makePool(service, 'picky', '10.26.0.0/24', { nodeSelector: { never: 'there' } })
  t.equal((await give(service, 'picky-1', { pool: 'picky' })).pool, 'picky')
  t.equal((await give(service, 'picky-2', { address: '10.26.0.77' })).uniqueIp, '10.26.0.77')
})

t.test('where every pool that matches is full it is pool_exhausted, where none matches pool_not_found', async (t) => {
  const other = await startService(t, { env: { EDGE_IPAM_POOL: '10.30.0.1/32' } })
  await give(other, 'first')
  problem(t, await other.call('POST', '/v1/allocations', { nodeName: 'second' }), 409, 'pool_exhausted')
  await other.call('DELETE', '/v1/nodes/first?force=true')
  await endQuarantine(other, '10.30.0.1')
  t.equal((await other.call('DELETE', '/v1/pools/default')).status, 204)
  problem(
    t,
    await other.call('POST', '/v1/allocations', { nodeName: 'second' }),
    404,
    'pool_not_found',
    'no pool at all',
  )
  await makePool(other, 'picky', '10.31.0.0/24', { nodeSelector: { site: 'a' } })
  await makePool(other, 'asleep', '10.32.0.0/24', { state: 'disabled' })
  problem(t, await other.call('POST', '/v1/allocations', { nodeName: 'second' }), 404, 'pool_not_found', 'none matches')
})

t.test('a node that comes back gets its address, out of quarantine and after it', async (t) => {
  await makePool(service, 'sticky', '10.27.0.0/24')
  const first = await give(service, 'sticky', { pool: 'sticky' })
  await give(service, 'sticky-other', { pool: 'sticky' })
  await call('DELETE', '/v1/nodes/sticky/allocation')
  const back = await call('POST', '/v1/allocations', { nodeName: 'sticky' })
  t.equal(back.status, 201)
  t.match(back.body, {
    uniqueIp: first.uniqueIp,
    pool: 'sticky',
    state: 'allocated',
    quarantinedUntil: null,
    registeredAt: null,
  })
  t.ok(back.body.sequence > first.sequence, 'a new allocation: a new sequence number')
  await call('DELETE', '/v1/nodes/sticky/allocation')
  await endQuarantine(service, first.uniqueIp)
  t.equal((await give(service, 'sticky', { pool: 'sticky' })).uniqueIp, first.uniqueIp, 'after quarantine')
})

t.test('an address that somebody else has now does not come back', async (t) => {
  const first = await give(service, 'lost', { pool: 'sticky' })
  await call('DELETE', '/v1/nodes/lost/allocation')
  await endQuarantine(service, first.uniqueIp)
  t.equal((await give(service, 'finder', { address: first.uniqueIp })).uniqueIp, first.uniqueIp)
  const back = await give(service, 'lost', { pool: 'sticky' })
  t.not(back.uniqueIp, first.uniqueIp)
})

t.test('what sticks gives way to what is asked for', async (t) => {
  await makePool(service, 'site-a', '10.28.0.0/24', { nodeSelector: { stick: 'a' }, priority: 5 })
  await makePool(service, 'site-b', '10.28.1.0/24', { nodeSelector: { stick: 'b' }, priority: 5 })
  const first = await give(service, 'mover', { labels: { stick: 'a' } })
  t.equal(first.pool, 'site-a')
  await call('DELETE', '/v1/nodes/mover/allocation')
  t.equal(
    (await give(service, 'mover', { labels: { stick: 'b' } })).pool,
    'site-b',
    'its labels match another pool now',
  )
  await call('DELETE', '/v1/nodes/mover/allocation')
  t.equal((await give(service, 'mover', { pool: 'site-a' })).pool, 'site-a', 'a pool by name')
  await call('DELETE', '/v1/nodes/mover/allocation')
  t.equal((await give(service, 'mover', { address: '10.28.0.99' })).uniqueIp, '10.28.0.99', 'an address')
})

t.test('a node may have its own quarantined address by asking for it', async (t) => {
  await give(service, 'asker', { address: '10.27.0.200' })
  await call('DELETE', '/v1/nodes/asker/allocation')
  const back = await call('POST', '/v1/allocations', { nodeName: 'asker', address: '10.27.0.200' })
  t.equal(back.status, 201)
  t.match(back.body, { uniqueIp: '10.27.0.200', state: 'allocated', quarantinedUntil: null })
})

t.test('text/plain is the bare address and a newline; problems stay problems', async (t) => {
  const headers = { accept: 'text/plain' }
  for (const status of [201, 200]) {
    const answer = await call('POST', '/v1/allocations', { nodeName: 'shell' }, { headers })
    t.equal(answer.status, status)
    t.match(answer.headers.get('content-type'), /^text\/plain/)
    t.match(answer.text, /^10\.213\.\d+\.\d+\n$/)
  }
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'X' }, { headers }), 400, 'validation_failed')
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'shell', pool: 'small' }, { headers }),
    409,
    'allocation_conflict',
  )
  for (const accept of ['*/*', 'application/json', 'text/html', 'application/json, text/plain;q=0.5', '']) {
    const answer = await call('POST', '/v1/allocations', { nodeName: 'shell' }, { headers: { accept } })
    t.match(answer.headers.get('content-type'), /^application\/json/, accept)
  }
})

t.test('the sequence may be far beyond four bytes', async (t) => {
  const other = await startService(t)
  await sql(other.databaseUrl, 'alter sequence allocation_sequence restart with 9000000000')
  const { sequence, uniqueIp } = await give(other, 'late')
  t.equal(sequence, 9_000_000_000)
  t.equal((await other.call('GET', '/v1/nodes/late/unique-ip')).body.sequence, 9_000_000_000)
  t.equal((await other.call('GET', '/v1/nodes/late')).body.sequence, 9_000_000_000)
  const wrong = await other.call('DELETE', `/v1/allocations/${uniqueIp}`, undefined, {
    headers: { 'if-match': '"8999999999"' },
  })
  problem(t, wrong, 412, 'precondition_failed')
  const right = await other.call('DELETE', `/v1/allocations/${uniqueIp}`, undefined, {
    headers: { 'if-match': '"9000000000"' },
  })
  t.equal(right.status, 200)
  t.equal(right.body.sequence, 9_000_000_000)
})

t.test('the list of allocations can be narrowed by each of its fields', async (t) => {
  await makePool(service, 'listed', '10.29.0.0/24')
  const shared = '198.51.100.7'
  const a = await give(service, 'listed-a', { address: '10.29.0.1', displayIp: shared })
  await give(service, 'listed-b', { address: '10.29.0.2' })
  await give(service, 'listed-c', { address: '10.29.0.129', displayIp: shared })
  await call('POST', '/v1/nodes/listed-b/registration')
  await call('DELETE', '/v1/nodes/listed-c/allocation')
  const names = async (query: string) =>
    (await call('GET', `/v1/allocations?${query}`)).body.items.map((item: { nodeName: string }) => item.nodeName)
  t.same(await names('pool=listed'), ['listed-a', 'listed-b', 'listed-c'])
  t.same(await names('pool=listed&state=allocated'), ['listed-a'])
  t.same(await names('pool=listed&state=registered'), ['listed-b'])
  t.same(await names('pool=listed&state=quarantined'), ['listed-c'])
  t.same(await names('nodeName=listed-a'), ['listed-a'])
  t.same(await names(`displayIp=${shared}`), ['listed-a', 'listed-c'])
  t.same(await names('cidr=10.29.0.128/25'), ['listed-c'])
  t.same(await names('cidr=10.29.0.0/25'), ['listed-a', 'listed-b'])
  t.same(await names('cidr=10.99.0.0/16'), [])
  t.same((await call('GET', '/v1/allocations?nodeName=listed-a')).body.items[0], a)
  problem(t, await call('GET', '/v1/allocations/10.29.0.200'), 404, 'allocation_not_found')
  problem(t, await call('GET', '/v1/allocations/172.30.0.1'), 404, 'allocation_not_found')
})
