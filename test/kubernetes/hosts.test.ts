import t from 'tap'
import { createDatabase } from '../support/postgres.js'
import type { Service } from '../support/service.js'
import { startLab } from './lab.js'
import { startNamesServer } from './names-server.js'
import { startInCluster, until } from './service.js'

const env = { EDGE_IPAM_HOSTS_CONFIGMAP: 'edge-ipam/edge-ipam-hosts' }
const CONFIG_MAPS = '/api/v1/namespaces/edge-ipam/configmaps'

const lab = await startLab(t)
await lab.ask('POST', '/api/v1/namespaces', { metadata: { name: 'edge-ipam' } })
// Where there is no Node, the cluster is not believed.
await lab.ask('POST', '/api/v1/nodes', { metadata: { name: 'cloud-1' } })
const remove = () => lab.ask('DELETE', `${CONFIG_MAPS}/edge-ipam-hosts`)

const read = async () => (await lab.ask('GET', `${CONFIG_MAPS}/edge-ipam-hosts`)).body
const text = async (): Promise<string | undefined> => (await read()).data?.['edge-ipam.hosts']
const isKept = (wanted: string) => until(async () => (await text()) === wanted)

/** How often the ConfigMap was written. */
async function writes(): Promise<number> {
  const requests = await lab.audited()
  return requests.filter(({ verb, resource, code }) => resource === 'configmaps' && verb !== 'get' && code < 300).length
}

async function allocate(service: Service, nodeName: string): Promise<string> {
  return (await service.call('POST', '/v1/allocations', { nodeName })).body.uniqueIp
}

t.test("nodes' names inside the cluster, by a CoreDNS that reads the ConfigMap", async (t) => {
  await remove()
  const service = await startInCluster(t, lab, { env })
  const resolver = await startNamesServer(t, lab)
  const resolves = (name: string) => resolver.resolve4(name).catch(({ code }) => code as string)

  const first = await allocate(service, 'hamburg-cam-1')
  await until(async () => (await resolves('hamburg-cam-1.edge.internal'))[0] === first)
  t.equal(await resolves('munich-cam-1.edge.internal'), 'ENOTFOUND')

  await t.test('a new node has its name', async () => {
    const second = await allocate(service, 'munich-cam-1')
    await until(async () => (await resolves('munich-cam-1.edge.internal'))[0] === second)
  })
  await t.test('a released one has none any more, and the others keep theirs', async (t) => {
    await service.call('DELETE', '/v1/nodes/munich-cam-1/allocation')
    await until(async () => (await resolves('munich-cam-1.edge.internal')) === 'ENOTFOUND')
    t.strictSame(await resolves('hamburg-cam-1.edge.internal'), [first])
  })
  await t.test('the ConfigMap says whose it is', async (t) => {
    t.match((await read()).metadata.labels, { 'app.kubernetes.io/managed-by': 'edge-ipam' })
  })
})

t.test('the ConfigMap is written only when names change', async (t) => {
  await remove()
  const databaseUrl = await createDatabase(t)
  const adminToken = 'a'.repeat(40)
  const first = await startInCluster(t, lab, { env, databaseUrl, adminToken })
  const one = await allocate(first, 'edge-1')
  await isKept(`${one} edge-1.edge.internal\n`)
  const made = await writes()

  await t.test('not when something else changes, nor by a replica that comes, nor twice by two', async (t) => {
    const second = await startInCluster(t, lab, { env, databaseUrl, adminToken })
    const looked = async () =>
      (await lab.audited()).filter(({ verb, resource }) => verb === 'get' && resource === 'configmaps').length
    const before = await looked()
    await first.call('PATCH', '/v1/nodes/edge-1', { displayIp: '192.168.1.10' })
    await until(async () => (await looked()) > before)
    t.equal(await writes(), made)
    const two = await allocate(second, 'edge-0')
    await isKept(`${two} edge-0.edge.internal\n${one} edge-1.edge.internal\n`)
    await second.call('DELETE', '/v1/nodes/edge-0/allocation')
    await isKept(`${one} edge-1.edge.internal\n`)
    t.equal(await writes(), made + 2, 'once for each change')
    t.equal(await second.stop(), 0)
  })
  await t.test('also when the process is another', async (t) => {
    t.equal(await first.stop(), 0)
    const { resourceVersion } = (await read()).metadata
    const third = await startInCluster(t, lab, { env, databaseUrl, adminToken })
    await allocate(third, 'edge-2')
    await until(async () => (await text())?.includes('edge-2'))
    t.not((await read()).metadata.resourceVersion, resourceVersion)
    t.equal(await writes(), made + 3)
  })
})

t.test('what others do to the ConfigMap is put right, and what else is in it stays', async (t) => {
  await remove()
  await lab.ask('POST', CONFIG_MAPS, {
    metadata: { name: 'edge-ipam-hosts', annotations: { mine: 'kept' } },
    data: { other: 'kept', 'edge-ipam.hosts': '10.0.0.1 wrong\n' },
  })
  const service = await startInCluster(t, lab, { env: { ...env, EDGE_IPAM_HOSTS_SUFFIX: '.' } })
  await isKept('')
  const one = await allocate(service, 'edge-1')
  await isKept(`${one} edge-1\n`)
  t.match(await read(), { metadata: { annotations: { mine: 'kept' } }, data: { other: 'kept' } })
  await remove()
  const two = await allocate(service, 'edge-2')
  await isKept(`${one} edge-1\n${two} edge-2\n`)
})

t.test('what is too large for a ConfigMap leaves it as it was, and is a finding until it fits', async (t) => {
  await remove()
  const service = await startInCluster(t, lab, { env })
  const one = await allocate(service, 'edge-1')
  await isKept(`${one} edge-1.edge.internal\n`)
  const nodes = Array.from({ length: 4_100 }, (_, i) => longName(i))
  for (let at = 0; at < nodes.length; at += 1_000) {
    const items = nodes.slice(at, at + 1_000).map((nodeName) => ({ nodeName }))
    t.equal((await service.call('POST', '/v1/allocations/batch', { items })).status, 200)
  }
  const finding = async () => (await service.call('GET', '/v1/findings?kind=hosts_too_large')).body.items[0]
  t.match(await until(finding), { subject: { kind: 'ConfigMap', namespace: 'edge-ipam', name: 'edge-ipam-hosts' } })
  const all = (await service.call('GET', '/v1/hosts')).text
  t.ok(all.length > 1024 * 1024)
  t.equal(all.split('\n').length, nodes.length + 2, 'GET /v1/hosts has all of them')
  t.match(await text(), /^10\.213\.0\.1 edge-1\.edge\.internal$/m)
  t.ok((await text())!.length < 1024 * 1024)
  for (const name of nodes.slice(0, 200)) await service.call('DELETE', `/v1/nodes/${name}/allocation`)
  await until(async () => (await finding()) === undefined)
  await isKept((await service.call('GET', '/v1/hosts')).text)
})

/** Nearly as long as a name of DNS may be. */
function longName(number: number): string {
  return `${['a', 'b', 'c'].map((letter) => letter.repeat(62)).join('.')}.${'d'.repeat(40)}-${number}`
}
