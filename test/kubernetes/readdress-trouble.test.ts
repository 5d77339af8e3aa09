import t from 'tap'
import { problem, sql } from '../api/support.js'
import { installJobs, startEdges } from './edge.js'
import { startLab } from './lab.js'
import {
  account,
  allow,
  begin,
  ended,
  eventually,
  nodesOf,
  quick,
  rules,
  startWith,
  unique,
} from './readdress-support.js'

const lab = await startLab(t)
await installJobs(lab)
const edges = await startEdges(t, lab)
const [nodeRules, jobRules] = rules as [(typeof rules)[number], (typeof rules)[number]]
const withoutJobVerb = (verb: string) => [
  nodeRules,
  { ...jobRules, verbs: jobRules.verbs.filter((one) => one !== verb) },
]

t.test('an address that is taken away meanwhile is not set, as far as that can still be helped', async (t) => {
  const service = await startWith(t, await account(lab, 'taken-away'))
  edges.recount()
  const uniqueIp = await unique(service, 'leaves')
  await edges.join('leaves', '192.168.1.10', 'ignores')
  const run = await begin(service, '/v1/nodes/leaves/readdress', quick)
  await eventually('its job is there', () => edges.jobs.size === 1)
  t.equal((await service.call('DELETE', '/v1/nodes/leaves/allocation?force=true')).status, 200)
  t.match(await ended(service, run.id), { state: 'failed' })
  t.match((await nodesOf(service, run.id)).leaves, {
    state: 'failed',
    message: `${uniqueIp} was taken from it while it was being set, and now it holds nothing`,
    job: null,
  })
  await eventually('its job is gone', () => edges.jobs.size === 0)
})

t.test('the job of one that failed goes when its address is taken away', async (t) => {
  const service = await startWith(t, await account(lab, 'kept'))
  const wish = { settleSeconds: 1, timeoutSeconds: 1 }
  const jobs: string[] = []
  const runs: string[] = []
  for (const name of ['loses', 'keeps']) {
    await unique(service, name)
    await edges.join(name, '192.168.1.10', 'ignores')
    const run = await begin(service, `/v1/nodes/${name}/readdress`, wish)
    t.match(await ended(service, run.id), { state: 'failed' })
    runs.push(run.id)
    jobs.push((await nodesOf(service, run.id))[name].job)
  }
  const [lost, kept] = jobs as [string, string]
  t.ok(edges.jobs.has(lost) && edges.jobs.has(kept), 'both are kept')
  t.equal((await service.call('DELETE', '/v1/nodes/loses/allocation?force=true')).status, 200)
  await eventually('the one is gone', () => !edges.jobs.has(lost))
  t.ok(edges.jobs.has(kept), 'the other is not')
  await eventually('and known to be', async () => (await nodesOf(service, runs[0]!)).loses.job === null)
})

t.test('a job that could not be removed goes as soon as it may, if it is of no use', async (t) => {
  const service = await startWith(t, await account(lab, 'late-right', withoutJobVerb('delete')))
  edges.recount()
  await unique(service, 'stuck')
  await edges.join('stuck', '192.168.1.10', 'ignores')
  const run = await begin(service, '/v1/nodes/stuck/readdress', quick)
  const { name } = await eventually('its job is there', () => edges.made[0] ?? false)
  t.equal((await service.call('DELETE', '/v1/nodes/stuck/allocation?force=true')).status, 200)
  t.match(await ended(service, run.id), { state: 'failed' })
  t.match((await nodesOf(service, run.id)).stuck, { message: /taken from it .* still there.* 403: /, job: name })
  await allow(lab, 'late-right', rules)
  await eventually('it is gone', () => !edges.jobs.has(name))
})

t.test('what dies between making a job and writing that down makes no other', async (t) => {
  const kubeconfig = await account(lab, 'forgetful')
  const first = await startWith(t, kubeconfig)
  edges.recount()
  await unique(first, 'once')
  await edges.join('once', '192.168.1.10', 'waits')
  const run = await begin(first, '/v1/nodes/once/readdress', quick)
  await eventually('its job is there', () => edges.made.length === 1)
  await first.kill9()
  const { databaseUrl, adminToken } = first
  await sql(databaseUrl, 'update readdress_nodes set job_made_at = null')
  const second = await startWith(t, kubeconfig, { databaseUrl, adminToken })
  await eventually('it knows of the job again', async () => {
    const [row] = await sql<{ known: boolean }>(
      databaseUrl,
      'select job_made_at is not null as known from readdress_nodes',
    )
    return row!.known
  })
  edges.release()
  t.match(await ended(second, run.id), { state: 'done' })
  t.equal(edges.made.length, 1)
})

t.test('a right that is missing is named', async (t) => {
  await t.test('to make jobs', async (t) => {
    const service = await startWith(t, await account(lab, 'no-create', withoutJobVerb('create')))
    await unique(service, 'refused')
    await edges.join('refused', '192.168.1.10')
    const run = await begin(service, '/v1/nodes/refused/readdress', quick)
    t.match(await ended(service, run.id), { state: 'failed' })
    t.match((await nodesOf(service, run.id)).refused, { message: /No ConfigUpdateJob .* 403: .*forbidden/, job: null })
  })
  await t.test('to remove jobs', async (t) => {
    const service = await startWith(t, await account(lab, 'no-delete', withoutJobVerb('delete')))
    await unique(service, 'littered')
    await edges.join('littered', '192.168.1.10')
    const run = await begin(service, '/v1/nodes/littered/readdress', quick)
    t.match(await ended(service, run.id), { state: 'done' }, 'it is done all the same')
    const { message, job } = (await nodesOf(service, run.id)).littered
    t.match(message, /still there.* 403: .*forbidden/)
    t.ok(edges.jobs.has(job))
  })
  await t.test('to read jobs', async (t) => {
    const service = await startWith(t, await account(lab, 'no-get', withoutJobVerb('get')))
    await unique(service, 'unread')
    await edges.join('unread', '192.168.1.10', 'ignores')
    const run = await begin(service, '/v1/nodes/unread/readdress', { settleSeconds: 1, timeoutSeconds: 1 })
    t.match(await ended(service, run.id), { state: 'failed' })
    t.match((await nodesOf(service, run.id)).unread, { message: /^After 1 s .*cannot be read/ })
  })
  await t.test('to read nodes', async (t) => {
    const service = await startWith(t, await account(lab, 'no-nodes', [jobRules]))
    await unique(service, 'unseen')
    for (const [path, body] of [
      ['/v1/nodes/unseen/readdress', {}],
      ['/v1/readdress', { finding: 'address_mismatch' }],
    ] as const) {
      const answer = await service.call('POST', path, body)
      t.match(problem(t, answer, 503, 'cluster_unavailable').detail, /403: nodes .*forbidden/)
    }
  })
})

t.test('a kube-apiserver that goes away holds a run up, and no more', async (t) => {
  const service = await startWith(t, await account(lab, 'patient'))
  edges.recount()
  const uniqueIp = await unique(service, 'held-up')
  const edge = await edges.join('held-up', '192.168.1.10', 'ignores')
  const run = await begin(service, '/v1/nodes/held-up/readdress', quick)
  await eventually('its job is there', () => edges.made.length === 1)
  // With watches open it would take its time.
  lab.apiserver.signal('SIGKILL')
  await lab.apiserver.stop()
  await eventually('it says what holds it up', async () => {
    const { message } = (await nodesOf(service, run.id))['held-up']
    return message !== null && /could not be asked/.test(message)
  })
  const away = await service.call('POST', '/v1/readdress', { finding: 'address_mismatch' })
  problem(t, away, 503, 'cluster_unavailable')
  t.match(away.headers.get('retry-after'), /^\d+$/)
  t.equal((await service.call('GET', '/readyz')).status, 200, 'all else is served')
  edge.address = uniqueIp
  await lab.apiserver.start()
  t.match(await ended(service, run.id), { state: 'done' })
  t.equal((await nodesOf(service, run.id))['held-up'].message, `It reports ${uniqueIp}.`)
})
