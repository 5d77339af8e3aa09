import t from 'tap'
import { give } from '../api/support.js'
import type { Service } from '../support/service.js'
import { installJobs, type Manner, startEdges } from './edge.js'
import { startLab } from './lab.js'
import { account, begin, ended, eventually, nodesOf, quick, startWith } from './readdress-support.js'

const lab = await startLab(t)
await installJobs(lab)
const kubeconfig = await account(lab, 'edge-ipam')
const edges = await startEdges(t, lab)
const service = await startWith(t, kubeconfig)
const { call } = service

/** Nodes that hold a unique IP, and joined with the address that all of them have. */
async function site(name: string, size: number, manner: Manner = 'changes', on: Service = service) {
  edges.recount()
  const site = []
  for (let index = 0; index < size; index++) {
    const nodeName = `${name}-${index}`
    const { uniqueIp } = await give(on, nodeName, { labels: { site: name } })
    site.push({ nodeName, uniqueIp, edge: await edges.join(nodeName, '192.168.1.10', manner) })
  }
  return site
}

t.test('many take their turns in waves, never more than so many at a time', async (t) => {
  const nodes = await site('waves', 8)
  const run = await begin(service, '/v1/readdress', { labels: { site: 'waves' }, atOnce: 3, ...quick })
  t.match(run, { atOnce: 3, stopAfterFailures: 1, counts: { waiting: 8, running: 0 } })
  const seen = await eventually('it ends', async () => {
    const { body } = await call('GET', `/v1/readdress/${run.id}`)
    const { waiting, running, done, failed, skipped, stopped } = body.counts
    t.ok(running <= 3, `${running} at a time`)
    t.equal(waiting + running + done + failed + skipped + stopped, 8, 'every node is counted once')
    return body.endedAt !== null && body
  })
  t.match(seen, { state: 'done', counts: { done: 8 } })
  t.equal(edges.mostAtOnce, 3)
  t.same(edges.made.map(({ nodeName }) => nodeName).sort(), nodes.map(({ nodeName }) => nodeName).sort())
  for (const { nodeName, uniqueIp } of nodes) t.equal(await edges.reported(nodeName), uniqueIp)

  const first = (await call('GET', `/v1/readdress/${run.id}/nodes?limit=5`)).body
  const rest = (await call('GET', `/v1/readdress/${run.id}/nodes?limit=5&cursor=${first.nextCursor}`)).body
  const listed = [...first.items, ...rest.items].map((item) => item.nodeName)
  t.same(
    listed,
    nodes.map(({ nodeName }) => nodeName),
    'listed by their turns',
  )
  t.equal(rest.nextCursor, null)
  t.same(await nodesOf(service, run.id, '&state=failed'), {})
  t.equal((await call('GET', '/v1/readdress?limit=1')).body.items[0].id, run.id, 'the newest run is the first')
})

t.test('when too many have failed, no more begin', async (t) => {
  const nodes = await site('broken', 5, 'fails')
  const nodeNames = nodes.map(({ nodeName }) => nodeName)
  const wish = { nodeNames, atOnce: 1, stopAfterFailures: 2, settleSeconds: 1, timeoutSeconds: 1 }
  const run = await begin(service, '/v1/readdress', wish)
  t.match(await ended(service, run.id), { state: 'failed', stoppedBy: null, counts: { failed: 2, stopped: 3 } })
  t.equal(edges.made.length, 2)
  t.match((await nodesOf(service, run.id))['broken-4'], { state: 'stopped', message: /^2 nodes .* failed/, job: null })
})

t.test('a node that is not Ready at its turn is skipped, which is no failure', async (t) => {
  const nodes = await site('offline', 3)
  await edges.offline(nodes[0]!.edge, true)
  const run = await begin(service, '/v1/readdress', { labels: { site: 'offline' }, atOnce: 1, ...quick })
  t.match(await ended(service, run.id), { state: 'done', counts: { skipped: 1, done: 2 } })
  t.match((await nodesOf(service, run.id))['offline-0'], { state: 'skipped', message: /^It is not Ready/ })
  t.equal(edges.made.length, 2, 'nothing was made for it')
})

t.test('stopped by hand: who waits does not begin, who is under way is finished', async (t) => {
  const nodes = await site('halt', 4, 'waits')
  const run = await begin(service, '/v1/readdress', { labels: { site: 'halt' }, atOnce: 2, ...quick })
  await eventually('two have their jobs', () => edges.made.length === 2)
  const stopped = await call('POST', `/v1/readdress/${run.id}/stop`)
  t.match(stopped, { status: 200, body: { state: 'stopping', counts: { running: 2, stopped: 2, waiting: 0 } } })
  t.same((await call('POST', `/v1/readdress/${run.id}/stop`)).body, stopped.body, 'again: the same')
  edges.release()
  const over = await ended(service, run.id)
  t.match(over, { state: 'stopped', stoppedBy: /^admin:/, counts: { done: 2, stopped: 2 } })
  t.same((await call('POST', `/v1/readdress/${run.id}/stop`)).body, over, 'what has ended stays as it is')
  t.equal(edges.made.length, 2)

  for (const { edge } of nodes) edge.manner = 'changes'
  const again = await begin(service, '/v1/readdress', { labels: { site: 'halt' }, ...quick })
  t.match(again, { counts: { waiting: 2 } }, 'those whose turn never came can be done later')
  t.match(await ended(service, again.id), { state: 'done' })
})

t.test('a service that is killed in the middle goes on where it was', async (t) => {
  const first = await startWith(t, kubeconfig)
  const nodes = await site('killed', 6, 'waits', first)
  const run = await begin(first, '/v1/readdress', { labels: { site: 'killed' }, atOnce: 2, ...quick })
  await eventually('two have their jobs', () => edges.made.length === 2)
  await first.kill9()
  for (const { edge } of nodes) edge.manner = 'changes'
  edges.release()
  const { databaseUrl, adminToken } = first
  const second = await startWith(t, kubeconfig, { databaseUrl, adminToken })
  t.match(await ended(second, run.id), { state: 'done', counts: { done: 6 } })
  t.equal(new Set(edges.made.map(({ nodeName }) => nodeName)).size, 6)
  t.equal(edges.made.length, 6, 'each node had one job')
  t.equal(edges.mostAtOnce, 2)
})

t.test('two services at once, one of which dies: one run, each node once', async (t) => {
  const a = await startWith(t, kubeconfig)
  const { databaseUrl, adminToken } = a
  const b = await startWith(t, kubeconfig, { databaseUrl, adminToken })
  await site('twins', 6, 'changes', a)
  const wish = { labels: { site: 'twins' }, atOnce: 2, ...quick }
  const runs = await Promise.all([a, b, a, b].map((one) => begin(one, '/v1/readdress', wish)))
  t.equal(new Set(runs.map(({ id }) => id)).size, 1, 'whoever is asked, and however often')
  const [{ id }] = runs
  await eventually('the first are done', async () => (await b.call('GET', `/v1/readdress/${id}`)).body.counts.done >= 2)
  await a.kill9()
  t.match(await ended(b, id), { state: 'done', counts: { done: 6 } })
  t.equal(edges.made.length, 6)
  t.equal(edges.mostAtOnce, 2)
})

t.test('every node that reports another address, until none is left', async (t) => {
  const mass = { finding: 'address_mismatch', atOnce: 20, stopAfterFailures: 20, ...quick }
  const left = (await call('POST', '/v1/readdress?dryRun=true', mass)).body.counts.waiting
  await site('rest', 4)
  const run = await begin(service, '/v1/readdress', { ...mass, timeoutSeconds: 2 })
  t.equal(run.counts.waiting, left + 4)
  t.match(
    await ended(service, run.id),
    { counts: { done: 4, failed: 5, skipped: 1 } },
    'the broken and the offline stay',
  )
})
