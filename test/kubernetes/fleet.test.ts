import t, { type Test } from 'tap'
import { startCloudcore } from './cloudcore.js'
import { joinNode, removeNode } from './cluster.js'
import { installJobs, startEdges } from './edge.js'
import { startLab } from './lab.js'
import { begin, quick } from './readdress-support.js'
import { startInCluster, until } from './service.js'
import { installHook } from './webhook.js'

// A fleet, from its join on, while edge-ipam is not always there.

interface Device {
  name: string
  /** Its own address, at its site. */
  displayIp: string
}

// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shape
type Node = any

const lab = await startLab(t)
const cloudcore = await startCloudcore(lab)
const certificate = await lab.certificate('hook', '/CN=edge-ipam', ['127.0.0.1'])
const env = {
  EDGE_IPAM_LOOK_SECONDS: '1',
  EDGE_IPAM_WEBHOOK_PORT: '0',
  EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: certificate.cert,
  EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: certificate.key,
}
let service = await startInCluster(t, lab, { env })
await installHook(lab, service.ready.webhook!, lab.authority)
// Not an edge: the hook lets it pass, and tells so when it is asked.
await joinNode(lab, 'cloud', '172.31.0.4', { edge: false })
await until(async () => {
  await lab.ask('PATCH', '/api/v1/nodes/cloud', {})
  const { text } = await service.call('GET', '/metrics')
  return /edge_ipam_hook_reviews_total\{outcome="passed"\} [1-9]/.test(text)
})

const devices: Device[] = Array.from({ length: 200 }, (_, index) => ({
  name: `edge-${String(index).padStart(3, '0')}`,
  displayIp: `192.168.1.${10 + (index % 10)}`,
}))
/** Joined while the service was stopped, and while it was killed. */
const [whileStopped, whileKilled, others] = [devices.slice(0, 10), devices.slice(10, 20), devices.slice(20)]
const uniqueIps = new Map<string, string>()

t.test('200 devices with 10 addresses join, 8 at once, and the service is not always there', async (t) => {
  let joined = 0
  const joining = eightAtOnce(others, async (device) => {
    await announce(device)
    await register(device)
    joined++
  })
  const haveJoined = (count: number) => Promise.race([joining, until(async () => joined >= count)])

  await haveJoined(40)
  await startAnew(() => service.stop(), whileStopped)
  await haveJoined(100)
  await startAnew(() => service.kill9(), whileKilled)
  await joining
  t.equal(joined, others.length)
})

t.test('each is registered, also those that nobody saw join', async (t) => {
  await until(async () => (await holdings()).every(({ nodeUid }) => nodeUid !== null))
  await areWell(t)
})

t.test('nobody has noticed: nothing that cloudcore asked for failed, and there never was a finding', async (t) => {
  const asked = (await lab.audited()).filter(({ user }) => user === cloudcore.user)
  const answers = [...new Set(asked.map(({ verb, code }) => `${verb} ${code}`))].sort()
  t.strictSame(answers, ['create 201', 'get 200', 'get 404', 'patch 200', 'update 200'])
  t.equal(asked.filter(({ code }) => code === 404).length, devices.length, 'before each was created')
  // A node that nobody announced shows that somebody looks.
  await cloudcore.register('stranger', '192.168.7.7')
  const open = await until(async () => {
    const found = await findings()
    return found.includes('unknown_node stranger') && found
  })
  t.strictSame(open, ['unknown_node stranger'])
  t.strictSame(await findings('&resolved=true'), [])
  await removeNode(lab, 'stranger')
})

t.test('the same devices report the addresses that they have at their sites: each clash is found', async (t) => {
  await eightAtOnce(devices, ({ name, displayIp }) => cloudcore.restart(name, displayIp))
  const expected = devices.flatMap(({ name }) => [`address_mismatch ${name}`, `duplicate_internal_ip ${name}`]).sort()
  const found = await until(async () => {
    const open = await findings()
    return open.length >= expected.length && open.sort()
  })
  t.strictSame(found, expected)
})

t.test('readdressed in waves, they are all well again', async (t) => {
  await installJobs(lab)
  const edges = await startEdges(t, lab, { round: 10_000 })
  for (const { name, displayIp } of devices) edges.take(name, displayIp)
  const run = await begin(service, '/v1/readdress', { finding: 'address_mismatch', atOnce: 25, ...quick })
  t.match(run.counts, { waiting: 200, running: 0 })
  const over = await until(async () => {
    const { body } = await service.call('GET', `/v1/readdress/${run.id}`)
    return body.endedAt !== null && body
  })
  t.match(over, { state: 'done', counts: { done: 200 } })
  t.ok(edges.mostAtOnce <= 25, `${edges.mostAtOnce} at a time`)
  await until(async () => (await findings()).length === 0)
  await areWell(t)
})

/** Each device reports its unique IP, is known by what people call it, and is itself and no other. */
async function areWell(t: Test): Promise<void> {
  t.equal(new Set(uniqueIps.values()).size, 200, 'nobody shares a unique IP')
  const nodes = new Map<string, Node>((await edges()).map((node) => [node.metadata.name, node]))
  const expected = devices.map(({ name, displayIp }) => {
    const uid = nodes.get(name)?.metadata.uid
    return { nodeName: name, state: 'registered', uniqueIp: uniqueIps.get(name), displayIp, nodeUid: uid }
  })
  t.match(await holdings(), expected)
  t.equal(nodes.size, 200)
  const reported = devices.map(({ name }) => {
    const { addresses, daemonEndpoints } = nodes.get(name).status
    return { name, addresses, port: daemonEndpoints.kubeletEndpoint.Port }
  })
  t.strictSame(
    reported,
    devices.map(({ name }) => ({
      name,
      addresses: [
        { type: 'InternalIP', address: uniqueIps.get(name) },
        { type: 'Hostname', address: name },
      ],
      port: 10351,
    })),
  )
}

/** Asks for an address until it is given one, as join.sh does. */
async function announce({ name, displayIp }: Device): Promise<void> {
  const uniqueIp = await until(async () => {
    const answer = await service.call('POST', '/v1/allocations', { nodeName: name, displayIp }).catch((error) => {
      // fetch's word for a connection that was refused, or broke.
      if (!(error instanceof TypeError)) throw error
    })
    if (answer === undefined || answer.status === 503) return undefined
    if (answer.status !== 201 && answer.status !== 200) throw new Error(answer.text)
    return answer.body.uniqueIp as string
  })
  uniqueIps.set(name, uniqueIp)
}

/** edgecore starts, and reports the address that it was given. */
function register({ name }: Device): Promise<void> {
  return cloudcore.register(name, uniqueIps.get(name)!)
}

/** Ends the service in some way, has devices join that were given their addresses before, and starts it again. */
async function startAnew(end: () => Promise<unknown>, meanwhile: readonly Device[]): Promise<void> {
  await eightAtOnce(meanwhile, announce)
  await end()
  await eightAtOnce(meanwhile, register)
  const { url, ready, databaseUrl, adminToken } = service
  const ports = { PORT: new URL(url).port, EDGE_IPAM_WEBHOOK_PORT: new URL(ready.webhook!).port }
  service = await startInCluster(t, lab, { env: { ...env, ...ports }, databaseUrl, adminToken })
}

async function eightAtOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

/** What the service knows of every node, by name. */
async function holdings(): Promise<Record<string, string | null>[]> {
  return (await service.call('GET', '/v1/nodes?limit=1000')).body.items
}

/** The edge nodes, as kubectl shows them. */
async function edges(): Promise<Node[]> {
  const { stdout } = await lab.kubectl(['get', 'nodes', '-l', 'node-role.kubernetes.io/edge', '-o', 'json'])
  return JSON.parse(stdout).items
}

async function findings(query = ''): Promise<string[]> {
  const { body } = await service.call('GET', `/v1/findings?limit=1000${query}`)
  return body.items.map(({ kind, nodeName }: { kind: string; nodeName: string }) => `${kind} ${nodeName}`)
}
