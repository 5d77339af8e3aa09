import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, problem, snapshot } from './support.js'

const service = await startService(t)
const { call } = service
await makePool(service, 'p', '10.40.0.0/24', { quarantineSeconds: 600 })

const byName = (name: string, ifMatch?: string, query = '') =>
  call(
    'DELETE',
    `/v1/nodes/${name}/allocation${query}`,
    undefined,
    ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } },
  )
const byAddress = (address: string, ifMatch?: string, query = '') =>
  call(
    'DELETE',
    `/v1/allocations/${address}${query}`,
    undefined,
    ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } },
  )
const holder = async (address: string) => (await call('GET', `/v1/allocations/${address}`)).body

for (const [way, release] of [
  ['name', (name: string, _address: string, ifMatch?: string) => byName(name, ifMatch)],
  ['address', (_name: string, address: string, ifMatch?: string) => byAddress(address, ifMatch)],
] as const) {
  t.test(`a release by ${way} answers with the quarantine, again the same, and 404 once it is over`, async (t) => {
    const name = `once-by-${way}`
    const given = await give(service, name, { pool: 'p', displayIp: '192.168.0.1' })
    const released = await release(name, given.uniqueIp)
    t.equal(released.status, 200)
    const { quarantinedUntil, ...rest } = released.body
    t.same({ ...rest, quarantinedUntil: null }, { ...given, state: 'quarantined' }, 'the same allocation')
    const rests = Date.parse(quarantinedUntil) - Date.now()
    t.ok(rests > 500_000 && rests <= 601_000, `quarantined for ten minutes, not ${rests} ms`)
    const kept = await snapshot(service)
    for (const ifMatch of [undefined, `"${given.sequence}"`, released.headers.get('etag')!]) {
      const again = await release(name, given.uniqueIp, ifMatch)
      t.equal(again.status, 200)
      t.same(again.body, released.body, 'again: the same')
    }
    t.same(await snapshot(service), kept, 'and nothing happens')
    await endQuarantine(service, given.uniqueIp)
    problem(t, await release(name, given.uniqueIp), 404, 'allocation_not_found', 'quarantine over')
    problem(t, await release(name, given.uniqueIp, `"${given.sequence}"`), 412, 'precondition_failed', 'gone')
    problem(t, await release(name, given.uniqueIp, '*'), 412, 'precondition_failed', 'gone, *')
  })
}

t.test('If-Match releases only the very allocation that it names', async (t) => {
  const first = await give(service, 'exact', { pool: 'p' })
  const etag = (await call('GET', `/v1/allocations/${first.uniqueIp}`)).headers.get('etag')!
  const wrong = [
    `"${first.sequence + 1}"`,
    '"0"',
    '""',
    `W/"${first.sequence}"`,
    `W/${etag}`,
    '"a", "b"',
    '"a,b"',
    '"a", ,"b",',
  ]
  const before = await snapshot(service)
  for (const ifMatch of wrong) {
    problem(t, await byName('exact', ifMatch), 412, 'precondition_failed', `by name ${ifMatch}`)
    problem(t, await byAddress(first.uniqueIp, ifMatch), 412, 'precondition_failed', `by address ${ifMatch}`)
  }
  for (const ifMatch of ['17', `${first.sequence}`, '"', 'W/', "'x'", '"a" "b"', '"a b"', '*, "1"']) {
    problem(t, await byName('exact', ifMatch), 400, 'validation_failed', `malformed ${ifMatch}`)
  }
  t.same(await snapshot(service), before)
  let sequence = first.sequence
  for (const ifMatch of [`"${sequence}"`, etag, '"x", "SEQ"', '"SEQ","y"', '"x,y","SEQ"', 'W/"SEQ", "SEQ"', '*']) {
    const { status } = await byName(
      'exact',
      ifMatch === etag ? `"${sequence}"` : ifMatch.replaceAll('SEQ', String(sequence)),
    )
    t.equal(status, 200, ifMatch)
    sequence = (await give(service, 'exact', { pool: 'p' })).sequence
  }
  const current = (await call('GET', `/v1/allocations/${first.uniqueIp}`)).headers.get('etag')!
  t.equal((await byAddress(first.uniqueIp, current)).status, 200, 'the ETag that reading gave')
})

t.test('a late repeat never touches the next owner, by name or with If-Match', async (t) => {
  const { uniqueIp, sequence } = await give(service, 'before', { pool: 'p' })
  t.equal((await byName('before', `"${sequence}"`)).status, 200)
  await endQuarantine(service, uniqueIp)
  const next = await give(service, 'after', { address: uniqueIp })
  problem(t, await byName('before'), 404, 'allocation_not_found', 'by name')
  problem(t, await byName('before', `"${sequence}"`), 412, 'precondition_failed', 'by name with If-Match')
  problem(t, await byAddress(uniqueIp, `"${sequence}"`), 412, 'precondition_failed', 'by address with If-Match')
  t.same(await holder(uniqueIp), next, 'the next owner has it still')
  t.match(
    (await byAddress(uniqueIp)).body,
    { nodeName: 'after', state: 'quarantined' },
    'by address alone the present holder is meant',
  )
})

t.test('a late repeat does not release what the same node has got since', async (t) => {
  const first = await give(service, 'twice', { pool: 'p' })
  await byName('twice')
  const second = await give(service, 'twice', { pool: 'p' })
  t.equal(second.uniqueIp, first.uniqueIp)
  problem(t, await byName('twice', `"${first.sequence}"`), 412, 'precondition_failed')
  problem(t, await byAddress(first.uniqueIp, `"${first.sequence}"`), 412, 'precondition_failed')
  t.same(await holder(first.uniqueIp), second)
})

t.test('an address that is not the last one of its node any more is gone for a release', async (t) => {
  await give(service, 'wanders', { address: '10.40.0.100' })
  await byName('wanders')
  await give(service, 'wanders', { address: '10.40.0.101' })
  const before = await snapshot(service)
  problem(t, await byAddress('10.40.0.100'), 404, 'allocation_not_found')
  t.same(await snapshot(service), before)
  t.match((await byName('wanders')).body, { uniqueIp: '10.40.0.101' })
  problem(t, await byAddress('10.40.0.100'), 404, 'allocation_not_found')
  t.match(
    (await byName('wanders')).body,
    { uniqueIp: '10.40.0.101', state: 'quarantined' },
    'by name its last one is meant',
  )
})

t.test('what nobody holds cannot be released', async (t) => {
  problem(t, await byName('never-seen'), 404, 'allocation_not_found')
  problem(t, await byAddress('10.40.0.250'), 404, 'allocation_not_found')
  problem(t, await byAddress('172.30.0.1'), 404, 'allocation_not_found')
  problem(t, await byAddress('10.40.0.250', '"1"'), 412, 'precondition_failed')
  problem(t, await byAddress('10.40.0.250', '*'), 412, 'precondition_failed')
  problem(t, await byName('never-seen', '*'), 412, 'precondition_failed')
})

t.test('a registered node is released only with force', async (t) => {
  const { uniqueIp, sequence } = await give(service, 'registered', { pool: 'p' })
  t.equal((await call('POST', '/v1/nodes/registered/registration')).status, 200)
  const before = await snapshot(service)
  problem(t, await byName('registered'), 409, 'node_still_registered')
  problem(t, await byAddress(uniqueIp), 409, 'node_still_registered')
  problem(t, await byName('registered', `"${sequence}"`), 409, 'node_still_registered')
  problem(t, await byName('registered', undefined, '?force=false'), 409, 'node_still_registered')
  problem(t, await call('DELETE', '/v1/nodes/registered'), 409, 'node_still_registered')
  problem(
    t,
    await byName('registered', '"1"', '?force=true'),
    412,
    'precondition_failed',
    'force does not outvote If-Match',
  )
  problem(t, await byName('registered', undefined, '?force=yes'), 400, 'validation_failed')
  t.same(await snapshot(service), before)
  t.match((await byName('registered', `"${sequence}"`, '?force=true')).body, { state: 'quarantined', uniqueIp })
  t.equal((await byName('registered')).status, 200, 'a repeat needs no force: nothing is registered any more')
})

t.test('quarantine may last no time: the address is free at once, in the numbers and to allocate', async (t) => {
  await makePool(service, 'hasty', '10.41.0.1/32', { quarantineSeconds: 0 })
  await give(service, 'hasty-1', { pool: 'hasty' })
  t.match((await byName('hasty-1')).body, { state: 'quarantined', quarantinedUntil: /Z$/ })
  t.match((await call('GET', '/v1/pools/hasty')).body.utilization, { quarantined: 0, free: 1 })
  t.equal((await give(service, 'hasty-2', { pool: 'hasty' })).uniqueIp, '10.41.0.1')
})

t.test('a quarantined address goes to nobody else before its time, and then it does', async (t) => {
  await makePool(service, 'slow', '10.42.0.1/32')
  await give(service, 'slow-1', { pool: 'slow' })
  await byName('slow-1')
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'slow-2', address: '10.42.0.1' }),
    409,
    'address_quarantined',
  )
  t.match((await call('GET', '/v1/pools/slow')).body.utilization, { allocated: 0, quarantined: 1, free: 0 })
  await endQuarantine(service, '10.42.0.1')
  t.match((await call('GET', '/v1/pools/slow')).body.utilization, { allocated: 0, quarantined: 0, free: 1 })
  problem(
    t,
    await call('GET', '/v1/allocations/10.42.0.1'),
    404,
    'allocation_not_found',
    'free: there is no allocation',
  )
  t.match((await call('GET', '/v1/allocations?cidr=10.42.0.0/24')).body.items, [], 'nor in the list')
  t.equal((await give(service, 'slow-2', { address: '10.42.0.1' })).nodeName, 'slow-2')
  const actions = (await call('GET', '/v1/audit?address=10.42.0.1')).body.items.map(
    (row: { action: string }) => row.action,
  )
  t.same(actions, ['allocation.created', 'allocation.freed', 'allocation.released', 'allocation.created'])
})

t.test('deleting a node releases what it holds and forgets the rest; nothing sticks', async (t) => {
  const { uniqueIp } = await give(service, 'leaves', {
    pool: 'p',
    displayIp: '192.168.9.9',
    labels: { site: 'a' },
    nodeUid: 'u',
  })
  const gone = await call('DELETE', '/v1/nodes/leaves')
  t.equal(gone.status, 204)
  t.equal(gone.text, '')
  problem(t, await call('GET', '/v1/nodes/leaves'), 404, 'node_not_found')
  problem(t, await call('DELETE', '/v1/nodes/leaves'), 404, 'node_not_found')
  t.match(await holder(uniqueIp), { state: 'quarantined', nodeName: 'leaves' }, 'the address rests all the same')
  const back = await give(service, 'leaves', { pool: 'p' })
  t.not(back.uniqueIp, uniqueIp, 'nothing sticks')
  t.match(back, { displayIp: null, nodeUid: null })
  t.same(back.labels, {})
  const actions = (await call('GET', '/v1/audit?nodeName=leaves')).body.items.map(
    (row: { action: string }) => row.action,
  )
  t.same(
    actions.sort(),
    ['allocation.created', 'allocation.created', 'allocation.released', 'node.deleted'],
    'the history stays',
  )
})

t.test('a node that forgot its address cannot have it out of quarantine by asking', async (t) => {
  await give(service, 'forgets', { address: '10.40.0.120' })
  await call('DELETE', '/v1/nodes/forgets')
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'forgets', address: '10.40.0.120' }),
    409,
    'address_quarantined',
  )
})

t.test('a registered node is deleted only with force', async (t) => {
  await give(service, 'stays', { pool: 'p' })
  await call('POST', '/v1/nodes/stays/registration')
  problem(t, await call('DELETE', '/v1/nodes/stays'), 409, 'node_still_registered')
  t.equal((await call('DELETE', '/v1/nodes/stays?force=true')).status, 204)
  problem(t, await call('GET', '/v1/nodes/stays'), 404, 'node_not_found')
})
