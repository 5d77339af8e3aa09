import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, snapshot, tokenOf } from './support.js'

const service = await startService(t)
const { secret: token } = await tokenOf(service, 'cloudcore')
const call: typeof service.call = (method, path, body, options) =>
  service.call(method, path, body, { token, ...options })

t.test('the unique IP by node name, as JSON and as plain text, with the sequence as ETag', async (t) => {
  const { uniqueIp, sequence } = await give(service, 'looked-up')
  const answer = await call('GET', '/v1/nodes/looked-up/unique-ip')
  t.equal(answer.status, 200)
  t.same(answer.body, { nodeName: 'looked-up', uniqueIp, sequence })
  t.equal(answer.headers.get('etag'), `"${sequence}"`)
  const plain = await call('GET', '/v1/nodes/looked-up/unique-ip', undefined, { headers: { accept: 'text/plain' } })
  t.match(plain.headers.get('content-type'), /^text\/plain/)
  t.equal(plain.text, `${uniqueIp}\n`)
  t.equal(plain.headers.get('etag'), `"${sequence}"`)
})

t.test('who holds nothing has no unique IP, also after a release', async (t) => {
  problem(t, await call('GET', '/v1/nodes/nobody/unique-ip'), 404, 'node_not_found')
  await give(service, 'released')
  await service.call('DELETE', '/v1/nodes/released/allocation')
  problem(t, await call('GET', '/v1/nodes/released/unique-ip'), 404, 'node_not_found', 'released')
  problem(t, await call('POST', '/v1/nodes/released/registration'), 404, 'node_not_found', 'released')
  problem(t, await call('POST', '/v1/nodes/nobody/registration'), 404, 'node_not_found')
  problem(t, await call('POST', '/v1/nodes/nobody/registration?allocate=false'), 404, 'node_not_found')
  const headers = { accept: 'text/plain' }
  problem(
    t,
    await call('GET', '/v1/nodes/nobody/unique-ip', undefined, { headers }),
    404,
    'node_not_found',
    'text/plain',
  )
})

t.test('a registration needs no body, answers the unique IP, and may be repeated', async (t) => {
  const { uniqueIp, sequence } = await give(service, 'registers')
  const first = await call('POST', '/v1/nodes/registers/registration')
  t.equal(first.status, 200)
  t.same(first.body, { nodeName: 'registers', uniqueIp, sequence })
  const { state, registeredAt } = (await service.call('GET', `/v1/allocations/${uniqueIp}`)).body
  t.equal(state, 'registered')
  t.match(registeredAt, /Z$/)
  const kept = await snapshot(service)
  t.same((await call('POST', '/v1/nodes/registers/registration', {})).body, first.body)
  t.same((await call('POST', '/v1/nodes/registers/registration?allocate=true')).body, first.body)
  t.same(await snapshot(service), kept, 'a repetition changes nothing')
  t.match(await service.call('POST', '/v1/allocations', { nodeName: 'registers' }), {
    status: 200,
    body: { state: 'registered', uniqueIp, registeredAt },
  })
})

t.test('a registration keeps the node UID; another one takes a new sequence number', async (t) => {
  const { sequence, uniqueIp } = await give(service, 'has-uid')
  t.match((await call('POST', '/v1/nodes/has-uid/registration', { nodeUid: 'u-1' })).body, { sequence })
  t.equal((await service.call('GET', '/v1/nodes/has-uid')).body.nodeUid, 'u-1')
  const other = await call('POST', '/v1/nodes/has-uid/registration', { nodeUid: 'u-2' })
  t.equal(other.status, 200)
  t.equal(other.body.uniqueIp, uniqueIp, 'the address stays')
  t.ok(other.body.sequence > sequence)
  t.equal(other.headers.get('etag'), `"${other.body.sequence}"`)
  const kept = await snapshot(service)
  t.same((await call('POST', '/v1/nodes/has-uid/registration', { nodeUid: 'u-2' })).body, other.body)
  t.same((await call('POST', '/v1/nodes/has-uid/registration', {})).body, other.body, 'absent leaves it')
  t.same(await snapshot(service), kept)
  t.equal((await service.call('GET', '/v1/audit?nodeName=has-uid&action=node.reregistered')).body.items.length, 1)
})

t.test('a reported IP that differs is no error', async (t) => {
  const { uniqueIp } = await give(service, 'drifts')
  for (const reportedIp of [uniqueIp, '192.168.1.10', 'fe80::1', null]) {
    const answer = await call('POST', '/v1/nodes/drifts/registration', { reportedIp })
    t.equal(answer.status, 200)
    t.equal(answer.body.uniqueIp, uniqueIp)
  }
  const drift = await call('POST', '/v1/nodes/drifts/registration', { reportedIp: '192.168.7.7' })
  t.equal(drift.status, 200)
  const { items } = (await service.call('GET', '/v1/audit?nodeName=drifts')).body
  t.match(JSON.stringify(items), '192.168.7.7', 'it is in the audit trail')
})

t.test('?allocate=true allocates for a node that nobody announced', async (t) => {
  const answer = await call('POST', '/v1/nodes/unannounced/registration?allocate=true', { nodeUid: 'u' })
  t.equal(answer.status, 200)
  t.match(answer.body, { nodeName: 'unannounced', uniqueIp: /^10\.213\./ })
  t.match((await service.call('GET', '/v1/nodes/unannounced')).body, {
    state: 'registered',
    nodeUid: 'u',
    uniqueIp: answer.body.uniqueIp,
  })
  await service.call('DELETE', '/v1/nodes/unannounced/allocation?force=true')
  const back = await call('POST', '/v1/nodes/unannounced/registration?allocate=true')
  t.equal(back.body.uniqueIp, answer.body.uniqueIp, 'its own address again')
})

t.test('many registrations of one unannounced node at once allocate once', async (t) => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call('POST', '/v1/nodes/stampede/registration?allocate=true')),
  )
  t.same([...new Set(answers.map((answer) => answer.status))], [200])
  t.equal(new Set(answers.map((answer) => answer.text)).size, 1)
  t.equal((await service.call('GET', '/v1/audit?nodeName=stampede&action=allocation.created')).body.items.length, 1)
})

t.test('a bad registration is refused and changes nothing', async (t) => {
  await give(service, 'strict')
  const before = await snapshot(service)
  const bad = await call('POST', '/v1/nodes/strict/registration', { nodeUid: 7, reportedIp: '010.0.0.1', extra: 1 })
  problem(t, bad, 400, 'validation_failed')
  t.same(paths(bad), ['/extra', '/nodeUid', '/reportedIp'])
  problem(t, await call('POST', '/v1/nodes/strict/registration?allocate=yes'), 400, 'validation_failed')
  problem(t, await call('POST', '/v1/nodes/strict/registration', '[]'), 400, 'validation_failed')
  problem(t, await call('POST', '/v1/nodes/10.0.0.1/registration?allocate=true'), 400, 'validation_failed')
  t.same(await snapshot(service), before)
})

t.test('in a full pool a registration that is to allocate is refused as an allocation is', async (t) => {
  const full = await startService(t, { env: { EDGE_IPAM_POOL: '10.30.0.1/32' } })
  await give(full, 'first')
  const refused = await full.call('POST', '/v1/nodes/second/registration?allocate=true')
  problem(t, refused, 409, 'pool_exhausted')
  problem(t, await full.call('GET', '/v1/nodes/second'), 404, 'node_not_found', 'nothing is left behind')
})

t.test('a disabled pool registers nobody new', async (t) => {
  await makePool(service, 'off', '10.60.0.0/24')
  await give(service, 'waits', { pool: 'off' })
  await give(service, 'is-in', { pool: 'off' })
  await call('POST', '/v1/nodes/is-in/registration')
  const off = await service.call('PATCH', '/v1/pools/off', { state: 'disabled' })
  if (off.status === 405) return t.pass('pools cannot be changed yet')
  problem(t, await call('POST', '/v1/nodes/waits/registration'), 409, 'pool_not_active')
  t.equal((await call('POST', '/v1/nodes/is-in/registration')).status, 200, 'who is in stays in')
  t.equal((await call('GET', '/v1/nodes/waits/unique-ip')).status, 200, 'and those that hold keep all')
})
