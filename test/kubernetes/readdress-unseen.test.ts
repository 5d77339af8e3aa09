import t from 'tap'
import { sql } from '../api/support.js'
import type { Service } from '../support/service.js'
import { installJobs, startEdges } from './edge.js'
import { startLab } from './lab.js'
import { account, allow, begin, ended, eventually, nodesOf, rules, startWith, unique } from './readdress-support.js'

// What becomes of a run while nothing can be seen of its nodes. That hours pass is said to the database.

const lab = await startLab(t)
await installJobs(lab)
const edges = await startEdges(t, lab)
const [nodeRules, jobRules] = rules as [(typeof rules)[number], (typeof rules)[number]]
const slow = { settleSeconds: 1, timeoutSeconds: 7_200 }

/** A run of one node whose job nobody takes up. The role is named as the node. */
async function underWay(service: Service, name: string): Promise<{ id: string; uniqueIp: string }> {
  const uniqueIp = await unique(service, name)
  await edges.join(name, '192.168.1.10', 'ignores')
  const { id } = await begin(service, `/v1/nodes/${name}/readdress`, slow)
  await eventually('its job is there', () => edges.made.some(({ nodeName }) => nodeName === name))
  await eventually('and known to be', async () => {
    const rows = await sql(service.databaseUrl, 'select from readdress_nodes where job_made_at is not null')
    return rows.length > 0
  })
  return { id, uniqueIp }
}

async function troubleOf(service: Service, id: string, name: string): Promise<string | null> {
  return (await nodesOf(service, id))[name].message
}

/** Takes the right to read nodes away, and waits until that is met. */
async function blind(service: Service, id: string, name: string): Promise<void> {
  await allow(lab, name, [jobRules])
  await eventually('it says what is the matter', async () => {
    return /could not be asked.* 403: nodes .*forbidden/.test((await troubleOf(service, id, name)) ?? '')
  })
}

async function seeing(service: Service, id: string, name: string): Promise<void> {
  await allow(lab, name, [nodeRules, jobRules])
  await eventually('it is seen again', async () => (await troubleOf(service, id, name)) === null)
}

t.test('while nothing can be seen of a node its time does not pass, and does not begin anew', async (t) => {
  const service = await startWith(t, await account(lab, 'paused'))
  const { id } = await underWay(service, 'paused')
  const passes = (column: string, span: string) =>
    sql(service.databaseUrl, `update readdress_nodes set ${column} = ${column} - interval '${span}'`)
  await passes('job_made_at', '7000 s')
  await blind(service, id, 'paused')
  await passes('job_made_at', '800 s')
  await passes('trouble_since', '800 s')
  await seeing(service, id, 'paused')
  t.match(await nodesOf(service, id), { paused: { state: 'running' } }, '800 s that nobody saw do not count')
  await passes('job_made_at', '200 s')
  t.match(await ended(service, id), { state: 'failed' }, 'what was before them does')
  t.match((await nodesOf(service, id)).paused.message, /^After 7200 s it reports 192\.168\.1\.10/)
})

t.test('a node of which nothing can be seen for long has failed, and can be tried again', async (t) => {
  const service = await startWith(t, await account(lab, 'unseen'))
  const { id } = await underWay(service, 'unseen')
  const passes = () =>
    sql(service.databaseUrl, "update readdress_nodes set trouble_since = trouble_since - interval '500 s'")
  await blind(service, id, 'unseen')
  await passes()
  await seeing(service, id, 'unseen')
  await blind(service, id, 'unseen')
  t.match(await nodesOf(service, id), { unseen: { state: 'running' } })
  await passes()
  t.match(await ended(service, id), { state: 'failed' }, 'twice 500 s are more than 15 minutes')
  const { state, message, job } = (await nodesOf(service, id)).unseen
  t.equal(state, 'failed')
  t.match(message, /^For 900 s in all nothing could be seen.*lets it get nodes.* 403: nodes .*forbidden/)
  t.ok(edges.jobs.has(job), 'its job is kept')
  await allow(lab, 'unseen', rules)
  const again = await begin(service, '/v1/nodes/unseen/readdress', slow)
  t.not(again.id, id)
})

t.test('a run that is stopped waits for nobody of whom nothing can be seen', async (t) => {
  const service = await startWith(t, await account(lab, 'stopped'))
  const { id } = await underWay(service, 'stopped')
  await blind(service, id, 'stopped')
  const dry = await service.call('POST', `/v1/readdress/${id}/stop?dryRun=true`)
  t.match(dry, { status: 200, body: { state: 'stopped', counts: { failed: 1, running: 0 } } })
  t.match(await nodesOf(service, id), { stopped: { state: 'running' } }, 'a dry run stops nothing')
  const stop = await service.call('POST', `/v1/readdress/${id}/stop`)
  t.match(stop, { status: 200, body: { state: 'stopped', stoppedBy: /^admin:/, counts: { failed: 1 } } })
  t.same((await service.call('POST', `/v1/readdress/${id}/stop`)).body, stop.body, 'again: the same')
  const { state, message, job } = (await nodesOf(service, id)).stopped
  t.equal(state, 'failed')
  t.match(message, /^The run was stopped while nothing could be seen of it.* 403: nodes .*forbidden/)
  t.ok(edges.jobs.has(job), 'its job is kept')
})

t.test('a service without the cluster says that nothing goes on, and can stop a run', async (t) => {
  const kubeconfig = await account(lab, 'cut-off')
  const first = await startWith(t, kubeconfig)
  const { id } = await underWay(first, 'cut-off')
  t.equal(await first.stop(), 0)
  const { databaseUrl, adminToken } = first
  const second = await startWith(t, 'off', { databaseUrl, adminToken })
  t.match((await nodesOf(second, id))['cut-off'], { state: 'running', message: /no cluster.*EDGE_IPAM_KUBERNETES/ })
  const stop = await second.call('POST', `/v1/readdress/${id}/stop`)
  t.match(stop, { status: 200, body: { state: 'stopped', stoppedBy: /^admin:/, counts: { failed: 1 } } })
  const { state, message } = (await nodesOf(second, id))['cut-off']
  t.equal(state, 'failed')
  t.match(message, /^The run was stopped while nothing could be seen of it.*no cluster.*EDGE_IPAM_KUBERNETES/)
  await second.stop()
  const third = await startWith(t, kubeconfig, { databaseUrl, adminToken })
  const again = await begin(third, '/v1/nodes/cut-off/readdress', slow)
  t.not(again.id, id, 'and the node can be tried again')
})
