import t from 'tap'
import { problem, snapshot } from '../api/support.js'
import { type Edges, installJobs, startEdges } from './edge.js'
import { startLab } from './lab.js'
import { account, begin, ended, eventually, nodesOf, quick, startWith, unique } from './readdress-support.js'

const lab = await startLab(t)
const service = await startWith(t, await account(lab, 'edge-ipam'))
const { call } = service
const root = t
/** From the moment on that the cluster knows ConfigUpdateJobs. */
let edges: Edges

t.test('a KubeEdge without ConfigUpdateJobs is told as such', async (t) => {
  await unique(service, 'early')
  await lab.ask('POST', '/api/v1/nodes', {
    metadata: { name: 'early' },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      addresses: [{ type: 'InternalIP', address: '192.168.1.9' }],
    },
  })
  for (const [path, body] of [
    ['/v1/nodes/early/readdress', undefined],
    ['/v1/readdress', { finding: 'address_mismatch' }],
  ] as const) {
    problem(t, await call('POST', path, body), 422, 'readdress_not_supported', path)
  }
  await lab.ask('DELETE', '/api/v1/nodes/early')
  await installJobs(lab)
  edges = await startEdges(root, lab)
})

t.test('a node that joined with its own address comes to report its unique IP', async (t) => {
  const uniqueIp = await unique(service, 'cam-1')
  const edge = await edges.join('cam-1', '192.168.1.10')
  const run = await begin(service, '/v1/nodes/cam-1/readdress', quick)
  t.match(run, { state: 'running', counts: { waiting: 1 }, timeoutSeconds: 300, settleSeconds: 1, endedAt: null })
  t.match(await ended(service, run.id), { state: 'done', counts: { done: 1, waiting: 0, running: 0 } })
  t.equal(await edges.reported('cam-1'), uniqueIp)
  t.equal(edge.address, uniqueIp, 'and the edge itself has it')
  t.match(await nodesOf(service, run.id), {
    'cam-1': { state: 'done', uniqueIp, reportedIp: '192.168.1.10', job: null, message: `It reports ${uniqueIp}.` },
  })
  t.equal(edges.made.length, 1)
  await eventually('its job is gone', () => edges.jobs.size === 0)

  const again = await call('POST', '/v1/nodes/cam-1/readdress', quick)
  t.match(again, { status: 200, body: { id: null, state: 'done' } }, 'again: there is nothing to do')
  t.equal(again.headers.get('location'), null)
  t.match(await call('POST', '/v1/readdress', { nodeNames: ['cam-1'] }), { status: 200, body: { id: null } })
  t.equal(edges.made.length, 1, 'and nothing is made')
})

t.test('a dry run answers the same, keeps nothing and makes nothing', async (t) => {
  edges.recount()
  await unique(service, 'dry')
  await edges.join('dry', '192.168.1.10', 'waits')
  const before = await snapshot(service)
  const dry = await call('POST', '/v1/nodes/dry/readdress?dryRun=true', quick)
  const dryRun = await call('POST', '/v1/readdress?dryRun=true', { finding: 'address_mismatch', ...quick })
  t.same(await snapshot(service), before)
  t.equal(dry.status, 202)
  t.match(dryRun, { status: 202, body: { nodeNames: ['dry'], counts: { waiting: 1 } } })
  const done = await call('POST', '/v1/nodes/dry/readdress', quick)
  const changing = { id: '', createdAt: '', requestId: '' }
  t.same({ ...dry.body, ...changing }, { ...done.body, ...changing, nodeNames: ['dry'] }, 'and says who is meant')
  t.same([...dry.headers.keys()].sort(), [...done.headers.keys()].sort())
  await eventually('its job waits', () => edges.made.length === 1)

  const kept = await call('POST', `/v1/readdress/${done.body.id}/stop?dryRun=true`)
  t.match(kept, { status: 200, body: { state: 'stopping' } })
  t.match((await call('GET', `/v1/readdress/${done.body.id}`)).body, { state: 'running' })
  const repeated = await call('POST', '/v1/nodes/dry/readdress', quick)
  t.match(repeated, { status: 202, body: { id: done.body.id } }, 'again, while it is under way: the same run')
  const mass = await call('POST', '/v1/readdress', { finding: 'address_mismatch' })
  t.match(mass, { status: 202, body: { id: done.body.id } }, 'also by way of many')
  edges.release()
  await ended(service, done.body.id)
  t.equal(edges.made.length, 1, 'one job in all')
})

t.test('the node is believed, not its job', async (t) => {
  const uniqueIp = await unique(service, 'silent-job')
  await edges.join('silent-job', '192.168.1.10', 'stays in progress')
  const run = await begin(service, '/v1/nodes/silent-job/readdress', quick)
  t.match(await ended(service, run.id), { state: 'done' })
  t.equal(await edges.reported('silent-job'), uniqueIp)
})

t.test('an address that somebody else wrote is not believed: the edge puts its own back', async (t) => {
  const uniqueIp = await unique(service, 'written')
  const edge = await edges.join('written', '192.168.1.10', 'ignores')
  const run = await begin(service, '/v1/nodes/written/readdress', { settleSeconds: 60, timeoutSeconds: 3 })
  await eventually('its job is there', () => edges.made.some(({ nodeName }) => nodeName === 'written'))
  edge.asleep = true
  await lab.ask('PATCH', '/api/v1/nodes/written/status', {
    status: { addresses: [{ type: 'InternalIP', address: uniqueIp }, { $patch: 'replace' }] },
  })
  const before = await looks()
  await eventually('it was looked at again and again', async () => (await looks()) >= before + 4)
  t.equal((await nodesOf(service, run.id)).written.state, 'running', 'and is not done')
  edge.asleep = false
  t.match(await ended(service, run.id), { state: 'failed', counts: { failed: 1 } })
  t.equal(await edges.reported('written'), '192.168.1.10')
  const { message, job } = (await nodesOf(service, run.id)).written
  t.match(message, /^After 3 s it reports 192\.168\.1\.10, not 10\.213\.\d+\.\d+\. .*no phase.*controllermanager/)
  t.match(
    edges.jobs.get(job),
    { metadata: { labels: { 'app.kubernetes.io/managed-by': 'edge-ipam' } } },
    'the job is kept',
  )
})

/** How often the service has read a Node so far. */
async function looks(): Promise<number> {
  const user = 'system:serviceaccount:edge-ipam:edge-ipam'
  return (await lab.audited()).filter((one) => one.user === user && one.verb === 'get' && one.resource === 'nodes')
    .length
}

t.test('one that fails says what to look at; its job is kept until it ends well', async (t) => {
  const uniqueIp = await unique(service, 'no-keadm')
  const edge = await edges.join('no-keadm', '192.168.1.10', 'fails')
  const first = await begin(service, '/v1/nodes/no-keadm/readdress', { settleSeconds: 1, timeoutSeconds: 1 })
  await ended(service, first.id)
  const { message, job } = (await nodesOf(service, first.id))['no-keadm']
  t.match(message, /ConfigUpdateJob .*Failure.*BackUp.*"keadm": executable file not found.*taskManager.*systemd/)
  t.match(edges.jobs.get(job).spec, {
    nodeNames: ['no-keadm'],
    updateFields: { 'modules.edged.nodeIP': uniqueIp },
    timeoutSeconds: 1,
  })
  edge.manner = 'changes'
  const second = await begin(service, '/v1/nodes/no-keadm/readdress', quick)
  t.not(second.id, first.id)
  t.match(await ended(service, second.id), { state: 'done' })
  await eventually(
    'no job of it is left',
    () => ![...edges.jobs.values()].some(({ spec }) => spec.nodeNames[0] === 'no-keadm'),
  )
  t.equal((await nodesOf(service, first.id))['no-keadm'].job, null)
})

t.test('what cannot be done is refused, each with its reason', async (t) => {
  await unique(service, 'elsewhere')
  await edges.join('nobody', '192.168.1.10')
  await unique(service, 'asleep')
  await edges.offline(await edges.join('asleep', '192.168.1.10'), true)
  edges.recount()
  const before = await snapshot(service)
  problem(t, await call('POST', '/v1/nodes/nobody/readdress'), 404, 'allocation_not_found')
  problem(t, await call('POST', '/v1/nodes/elsewhere/readdress'), 422, 'node_not_in_cluster')
  problem(t, await call('POST', '/v1/nodes/asleep/readdress'), 422, 'node_not_ready')
  const many = await call('POST', '/v1/readdress', { nodeNames: ['cam-1', 'nobody', 'asleep', 'elsewhere'] })
  const { errors } = problem(t, many, 422, 'readdress_not_possible')
  t.same(
    errors.map(({ path }: { path: string }) => path),
    ['/nodeNames/1', '/nodeNames/3'],
    'every name at once',
  )
  t.same(await snapshot(service), before)
  t.equal(edges.made.length, 0)
})
