import { once } from 'node:events'
import { Agent } from 'node:https'
import { connect } from 'node:net'
import t from 'tap'
import { until } from '../faults/support.js'
import { ask, like, post, recording, startWithHook } from './support.js'

const joined = recording('registration')
const [created, labelled, status] = joined
const nodeUid = status.request.object.metadata.uid

t.test('the recording of two nodes that clash: both keep their address, and people see it', async (t) => {
  const service = await startWithHook(t)
  const { call } = service
  await call('POST', '/v1/allocations', { nodeName: 'edge1' })
  await call('POST', '/v1/allocations', { nodeName: 'edge2', displayIp: '192.168.1.77' })
  for (const review of joined) {
    const { patch, warnings } = await ask(t, service, review)
    t.same(patch, [], 'nothing is rewritten')
    t.match(warnings.join(), /edge-ipam: node edge\d reports 192\.168\.1\.10, and its unique IP is 10\.77\.0\.\d/)
  }
  const nodes = await Promise.all(['edge1', 'edge2'].map((name) => call('GET', `/v1/nodes/${name}`)))
  t.same(
    nodes.map(({ body }) => [body.displayIp, body.state]),
    [
      ['192.168.1.10', 'allocated'],
      ['192.168.1.77', 'allocated'],
    ],
    'what people gave stays; neither has joined with its unique IP',
  )
})

t.test('a node that reports its unique IP is registered, with its uid', async (t) => {
  const service = await startWithHook(t)
  const { call } = service
  const { body: held } = await call('POST', '/v1/allocations', { nodeName: 'edge1', displayIp: '192.168.1.10' })
  for (const review of [created, status]) {
    const { patch, warnings } = await ask(t, service, like(review, { addresses: [held.uniqueIp] }))
    t.same([patch, warnings], [[], []])
  }
  const { body: node } = await call('GET', '/v1/nodes/edge1')
  t.equal(node.state, 'registered')
  t.equal(node.nodeUid, nodeUid)
  t.equal(node.displayIp, '192.168.1.10')
  t.equal(node.sequence, held.sequence)
})

t.test('a node of two families has joined when one of its addresses is its unique IP', async (t) => {
  const service = await startWithHook(t)
  const { body: held } = await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  const both = like(status, { addresses: ['fd00::10', held.uniqueIp] })
  t.same(await ask(t, service, both), { status: 200, warnings: [], patch: [] })
  t.equal((await service.call('GET', '/v1/nodes/edge1')).body.state, 'registered')
})

t.test('of a request for the node itself the old status counts: the new one is dropped', async (t) => {
  const service = await startWithHook(t)
  const { body: held } = await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  // As `kubectl replace` sends it, with a status from another time.
  const stale = like(labelled, { addresses: [held.uniqueIp] })
  const { warnings } = await ask(t, service, stale)
  t.match(warnings.join(), /reports 192\.168\.1\.10/)
  t.equal((await service.call('GET', '/v1/nodes/edge1')).body.state, 'allocated')
})

t.test('what a node reports is its display IP also where cloudcore has told of it before', async (t) => {
  const service = await startWithHook(t)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  await service.call('POST', '/v1/nodes/edge1/registration', { reportedIp: '192.168.1.10' })
  await ask(t, service, status)
  t.equal((await service.call('GET', '/v1/nodes/edge1')).body.displayIp, '192.168.1.10')
})

t.test(
  'what no device has at its site is no display IP: an address of a bridge, of a pool, of containers',
  async (t) => {
    const service = await startWithHook(t)
    await service.call('PUT', '/v1/networks', { items: [{ kind: 'pod', cidr: '10.244.0.0/16' }] })
    await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
    for (const address of ['172.18.0.1', '169.254.3.4', '10.77.0.9', '10.244.3.1']) {
      t.match((await ask(t, service, like(status, { addresses: [address] }))).warnings.join(), address)
      t.match((await service.call('GET', '/v1/nodes/edge1')).body, { displayIp: null, state: 'allocated' })
    }
    await ask(t, service, like(status, { addresses: ['192.168.1.10'] }))
    t.equal((await service.call('GET', '/v1/nodes/edge1')).body.displayIp, '192.168.1.10')
  },
)

t.test('each other address that a node comes to report is written down; its display IP stays', async (t) => {
  const service = await startWithHook(t)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  for (const address of ['192.168.1.10', '192.168.1.11']) await ask(t, service, like(status, { addresses: [address] }))
  const { body } = await service.call('GET', '/v1/audit?nodeName=edge1&action=node.updated')
  const reported = body.items.flatMap(({ after }: { after: { reportedIp?: string } }) => after.reportedIp ?? [])
  t.same(reported, ['192.168.1.11', '192.168.1.10'])
  t.equal((await service.call('GET', '/v1/nodes/edge1')).body.displayIp, '192.168.1.10')
})

t.test('an InternalIP that is no address counts for nothing', async (t) => {
  const service = await startWithHook(t)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  t.same(await ask(t, service, like(status, { addresses: ['', 'edge1'] })), { status: 200, warnings: [], patch: [] })
})

t.test('a pool that is full lets every node pass, and is asked again now and then only', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_UNKNOWN_NODES: 'allocate', EDGE_IPAM_POOL: '10.77.0.0/32' })
  await service.call('POST', '/v1/allocations', { nodeName: 'edge-0' })
  for (let i = 0; i < 3; i++) t.match((await ask(t, service, status)).warnings.join(), /No address is free/)
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="refused"\} 3/)
  t.match(text, /edge_ipam_allocations_total\{result="pool_exhausted"\} 1/)
})

t.test('the labels of a node that nobody announced choose its pool', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_UNKNOWN_NODES: 'allocate' })
  const pool = { name: 'arm', cidr: '10.78.0.0/24', priority: 1, nodeSelector: { 'kubernetes.io/arch': 'arm64' } }
  await service.call('POST', '/v1/pools', pool)
  const review = like(status, {})
  review.request.object.metadata.labels['kubernetes.io/arch'] = 'arm64'
  for (let i = 0; i < 100; i++) review.request.object.metadata.labels[`site-${i}`] = ''
  await ask(t, service, review)
  const { body: node } = await service.call('GET', '/v1/nodes/edge1')
  t.equal(node.pool, 'arm')
  t.equal(Object.keys(node.labels).length, 64, 'of more labels than a node may have, as many as it may')
})

t.test('an address of a pool is never a display IP', async (t) => {
  const service = await startWithHook(t)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  const { warnings } = await ask(t, service, like(status, { addresses: ['10.77.0.200'] }))
  t.equal(warnings.length, 1)
  const { body } = await service.call('GET', '/v1/nodes/edge1')
  t.equal(body.displayIp, null)
})

t.test('a node that nobody announced', async (t) => {
  for (const [policy, { warned, holds }] of Object.entries({
    warn: { warned: true, holds: false },
    ignore: { warned: false, holds: false },
    allocate: { warned: true, holds: true },
  })) {
    const service = await startWithHook(t, { EDGE_IPAM_UNKNOWN_NODES: policy })
    t.same((await ask(t, service, created)).warnings, [], `${policy}: before its first labels nothing is said`)
    t.equal((await service.call('GET', '/v1/nodes/edge1')).status, 404, 'and nothing done')
    const { warnings } = await ask(t, service, status)
    t.equal(warnings.length > 0, warned, `${policy}: ${warnings.join()}`)
    const { status: found, body } = await service.call('GET', '/v1/nodes/edge1')
    t.equal(found, holds ? 200 : 404, policy)
    if (holds) t.equal(body.displayIp, '192.168.1.10', 'what it reports is its display IP')
  }
})

t.test('nodes that are no edge nodes are nobody’s business', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_UNKNOWN_NODES: 'allocate' })
  const review = like(status, {})
  delete review.request.object.metadata.labels['node-role.kubernetes.io/edge']
  t.same((await ask(t, service, review)).warnings, [])
  t.equal((await service.call('GET', '/v1/nodes/edge1')).status, 404)
})

t.test('which nodes are edge nodes is a setting', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_EDGE_LABEL: 'example.com/edge' })
  t.same((await ask(t, service, status)).warnings, [], 'not by the usual label then')
  const labelled = like(status, {})
  labelled.request.object.metadata.labels = { 'example.com/edge': '' }
  t.match((await ask(t, service, labelled)).warnings.join(), /nobody announced/)
})

t.test('a dry run changes nothing', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_UNKNOWN_NODES: 'allocate' })
  await ask(t, service, like(status, { dryRun: true }))
  t.equal((await service.call('GET', '/v1/nodes/edge1')).status, 404)
  const { body: held } = await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  await ask(t, service, like(status, { dryRun: true }))
  await ask(t, service, like(status, { dryRun: true, addresses: [held.uniqueIp] }))
  t.match((await service.call('GET', '/v1/nodes/edge1')).body, { state: 'allocated', displayIp: null })
  await ask(t, service, like(status, { dryRun: true, name: 'edge2' }))
  await ask(t, service, like(status, { name: 'edge2' }))
  t.equal((await service.call('GET', '/v1/nodes/edge2')).status, 200, 'nor what is done about the same node after it')
})

t.test('what cannot be read passes, and says so', async (t) => {
  const service = await startWithHook(t)
  for (const review of [
    {},
    { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' },
    { ...status, request: { ...status.request, object: null } },
    { ...status, request: { ...status.request, kind: { kind: 'Pod' } } },
    like(status, { name: '10.0.0.1' }),
  ]) {
    const { warnings, patch } = await ask(t, service, review)
    t.match(warnings.join(), /could not be read/)
    t.same(patch, [])
  }
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="unreadable"\} 5/)
})

t.test('whatever the kube-apiserver may come to send is read as far as it can be', async (t) => {
  const service = await startWithHook(t)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  for (const query of [
    '?timeout=2s&reinvocation=1',
    '?timeout=',
    `?timeout=${'9'.repeat(100)}h`,
    '?timeout=1s&timeout=2s',
  ]) {
    const { warnings } = await ask(t, service, status, query)
    t.match(warnings.join(), /reports 192\.168\.1\.10/, `${query}: it was looked at`)
  }
  const { warnings } = await ask(t, service, { ...status, apiVersion: { of: 'another kind' } })
  t.match(warnings.join(), /reports 192\.168\.1\.10/)
  for (const shape of [{ ...status, kind: 1 }, { request: { uid: 'a uid' } }, [], 'text', 1, null]) {
    const { warnings, patch } = await ask(t, service, shape)
    t.match(warnings.join(), /could not be read/, JSON.stringify(shape).slice(0, 40))
    t.same(patch, [])
  }
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="another"\} 5/)
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="unreadable"\} 6/)
})

t.test('what has no uid to be answered to is an error, and counted', async (t) => {
  const service = await startWithHook(t)
  const url = `${service.ready.webhook}/hooks/kubernetes/nodes?timeout=2s`
  for (const [body, expected] of [
    ['{"kind":', 400],
    ['', 400],
    [JSON.stringify({ ...status, more: 'x'.repeat(2 * 1024 * 1024) }), 413],
  ] as const) {
    t.equal((await post(url, body)).status, expected)
  }
  const counted = async () => (await service.call('GET', '/metrics')).text
  t.match(await counted(), /edge_ipam_hook_reviews_total\{outcome="unanswered"\} 3/)
  await service.call('POST', '/hooks/kubernetes/nodes', {}, { token: 'not a token' })
  t.match(await counted(), /edge_ipam_hook_reviews_total\{outcome="unanswered"\} 3/, 'strangers send no reviews')
})

t.test('a review that finds no room is an error, and counted', async (t) => {
  const service = await startWithHook(t)
  // As many bodies as are let in together, on the other listener; they never come.
  const { hostname, port } = new URL(service.url)
  for (let i = 0; i < 32; i++) {
    const socket = connect(Number(port), hostname)
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    socket.write(
      `POST /v1/allocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${service.adminToken}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${2 * 1024 * 1024}\r\n\r\n`,
    )
  }
  const metrics = async () => (await service.call('GET', '/metrics')).text
  await until('they are under way', async () => /^edge_ipam_http_requests_under_way 33$/m.test(await metrics()))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  // On one connection: what is refused there first is read by Node, and what comes then by ourselves.
  for (let i = 0; i < 3; i++) {
    const url = `${service.ready.webhook}/hooks/kubernetes/nodes?timeout=2s`
    t.equal((await post(url, JSON.stringify(status), { agent })).status, 503)
  }
  t.match(await metrics(), /edge_ipam_hook_reviews_total\{outcome="overload"\} 3/)
})
