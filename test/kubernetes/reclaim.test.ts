import { rename } from 'node:fs/promises'
import pg from 'pg'
import t from 'tap'
import type { Service } from '../support/service.js'
import { joinNode, removeNode } from './cluster.js'
import { type Lab, startLab } from './lab.js'
import { startLyingProxy } from './lying-proxy.js'
import { startInCluster, until } from './service.js'

const release = {
  EDGE_IPAM_RECLAIM: 'release',
  EDGE_IPAM_RECLAIM_GRACE_SECONDS: '2',
  EDGE_IPAM_LOOK_SECONDS: '1',
}

/** Nodes with an address each, in the cluster under that, and one of the cloud, so that the cluster is never empty. */
async function fleet(lab: Lab, service: Service, names: readonly string[]): Promise<void> {
  await joinNode(lab, 'cloud', '172.31.0.4', { edge: false })
  for (const nodeName of names) {
    const { body } = await service.call('POST', '/v1/allocations', { nodeName })
    await joinNode(lab, nodeName, body.uniqueIp)
    await service.call('POST', `/v1/nodes/${nodeName}/registration`, { reportedIp: body.uniqueIp })
  }
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`)

async function stateOf(service: Service, nodeName: string): Promise<string | null> {
  return (await service.call('GET', `/v1/nodes/${nodeName}`)).body.state
}

const released = (service: Service, nodeName: string) => until(async () => (await stateOf(service, nodeName)) === null)

async function query<Row>(service: Service, text: string, values: unknown[] = []): Promise<Row[]> {
  const db = new pg.Client({ connectionString: service.databaseUrl })
  await db.connect()
  try {
    return (await db.query(text, values)).rows
  } finally {
    await db.end()
  }
}

const sighting = async (service: Service, nodeName: string) =>
  (
    await query<{ absences: number; seconds: string }>(
      service,
      'select absences, extract(epoch from clock_timestamp() - absent_since) as seconds from sightings where name = $1',
      [nodeName],
    )
  )[0]

/** Waits until a node was missing so often and so long that only what is tested here keeps its address. */
const wouldBeDue = (service: Service, nodeName: string) =>
  until(async () => {
    const seen = await sighting(service, nodeName)
    return seen !== undefined && seen.absences >= 5 && Number(seen.seconds) > 5
  })

/** Waits until whoever works for the cluster has said so again, so often: between two times it looks several times. */
async function renewed(service: Service, times: number): Promise<void> {
  const ends = async () => (await query<{ until: Date }>(service, 'select until from leases'))[0]?.until.getTime()
  for (let count = 0; count < times; count++) {
    const before = await ends()
    await until(async () => (await ends()) !== before)
  }
}

t.test('a node that is gone gives its address back', async (t) => {
  const lab = await startLab(t)
  const service = await startInCluster(t, lab, { env: release })
  await fleet(lab, service, names(20))

  await t.test('deleted on purpose: to quarantine, with an audit row', async (t) => {
    await removeNode(lab, 'n0')
    await released(service, 'n0')
    const { body } = await service.call('GET', '/v1/audit?nodeName=n0&action=allocation.released')
    t.match(body.items, [{ actor: 'system', requestId: /^reclaim-/ }])
    const held = await service.call('GET', '/v1/allocations?state=quarantined')
    t.match(held.body.items, [{ nodeName: 'n0', state: 'quarantined' }])
  })
  await t.test('one that comes back within the grace period keeps it', async (t) => {
    const { body } = await service.call('GET', '/v1/nodes/n1')
    await removeNode(lab, 'n1')
    await until(async () => (await sighting(service, 'n1'))?.absences)
    await joinNode(lab, 'n1', body.uniqueIp)
    await until(async () => (await sighting(service, 'n1'))?.absences === 0)
    t.equal(await stateOf(service, 'n1'), 'registered')
  })
  await t.test('too many at once wait for an administrator', async (t) => {
    for (const name of ['n2', 'n3', 'n4']) await removeNode(lab, name)
    await wouldBeDue(service, 'n4')
    t.strictSame(
      await Promise.all(['n2', 'n3', 'n4'].map((name) => stateOf(service, name))),
      Array(3).fill('registered'),
    )
    const found = await service.call('GET', '/v1/findings?kind=node_gone')
    t.ok(service.lines.some((line) => line.includes('more nodes are gone than is believed')))
    t.ok(found.body)

    const rehearsed = await service.call('POST', '/v1/reclaim?dryRun=true', { kind: 'node_gone' })
    t.strictSame(
      rehearsed.body.items.map((item: { released: boolean }) => item.released),
      [true, true, true],
    )
    t.equal(await stateOf(service, 'n2'), 'registered', 'a dry run releases nothing')
    const named = ['n2', 'n3', 'n6', 'nobody']
    const word = await service.call('POST', '/v1/reclaim', { kind: 'node_gone', nodeNames: named })
    t.match(word, {
      status: 200,
      body: {
        items: [
          { nodeName: 'n2', released: true },
          { nodeName: 'n3', released: true },
          { nodeName: 'n6', pool: 'default', released: false, reason: 'It is not known to be gone from the cluster.' },
          { nodeName: 'nobody', uniqueIp: null, pool: null, released: false, reason: 'It holds no address.' },
        ],
        left: 0,
      },
    })
    const elsewhere = await service.call('POST', '/v1/reclaim', { kind: 'node_gone', pool: 'nopool' })
    t.match(elsewhere, { status: 404, body: { code: 'pool_not_found' } })
    t.strictSame(await Promise.all(['n2', 'n3'].map((name) => stateOf(service, name))), [null, null])
    await released(service, 'n4')
    t.pass('with those two gone, the third is no longer too much')
  })
  await t.test('while the kube-apiserver is away, nothing is released', async (t) => {
    await removeNode(lab, 'n5')
    await lab.apiserver.stop()
    const { body } = await service.call('POST', '/v1/reclaim', { kind: 'node_gone', nodeNames: ['n5'] })
    t.notOk(body.items.some((item: { released: boolean }) => item.released))
    t.equal(await stateOf(service, 'n5'), 'registered')
    await lab.apiserver.start()
    await released(service, 'n5')
  })
  await t.test('never_joined is released only when asked for', async (t) => {
    const { databaseUrl, adminToken } = service
    await service.stop()
    const other = await startInCluster(t, lab, {
      env: { ...release, EDGE_IPAM_NEVER_JOINED_SECONDS: '1' },
      databaseUrl,
      adminToken,
    })
    await other.call('POST', '/v1/allocations', { nodeName: 'late' })
    await until(async () => {
      const { body } = await other.call('GET', '/v1/findings?kind=never_joined')
      return body.items.length > 0
    })
    t.equal(await stateOf(other, 'late'), 'allocated')
    const { body } = await other.call('POST', '/v1/reclaim', { kind: 'never_joined' })
    t.match(body.items, [{ nodeName: 'late', released: true }])
  })
})

t.test('an apiserver that lists too little', async (t) => {
  const lab = await startLab(t)
  const proxy = await startLyingProxy(t, lab)
  const service = await startInCluster(t, lab, { kubeconfig: proxy.kubeconfig, env: release })
  await fleet(lab, service, names(20))

  await t.test('leaves one out: it is asked for by name before it is released', async (t) => {
    proxy.hide = (name) => name === 'n7'
    proxy.expire()
    await wouldBeDue(service, 'n7')
    t.equal(await stateOf(service, 'n7'), 'registered')
    t.ok(service.lines.some((line) => line.includes('not released, though it was missing')))
  })
  for (const [what, lie] of [
    ['lists nothing', { hide: () => true }],
    ['breaks off in the middle of a list', { breaksOff: true }],
  ] as const) {
    await t.test(`${what}: nobody is missed in it`, async (t) => {
      const missed = () => query(service, 'select name from sightings where absences > 0')
      const before = await missed()
      Object.assign(proxy, lie)
      const { lists } = proxy
      proxy.expire()
      await until(async () => proxy.lists > lists)
      await renewed(service, 2)
      t.strictSame(await missed(), before)
      t.equal(await stateOf(service, 'n8'), 'registered')
      Object.assign(proxy, { hide: (name: string) => name === 'n7', breaksOff: false })
    })
  }
  await t.test('does not know a node that it has, by an answer that is not its own: it is not believed', async (t) => {
    proxy.knowsNobody = true
    const asked = await service.call('DELETE', '/v1/nodes/n9/allocation')
    t.match(asked, { status: 409 })
    const { body } = await service.call('POST', '/v1/reclaim', { kind: 'node_gone', nodeNames: ['n7'] })
    t.match(body.items, [{ nodeName: 'n7', released: false }])
    t.strictSame(await Promise.all(['n7', 'n9'].map((name) => stateOf(service, name))), ['registered', 'registered'])
    proxy.knowsNobody = false
  })
  await t.test('is slow, and forgets what it told (410): all is as it was before', async (t) => {
    proxy.hide = () => false
    proxy.delay = 1_500
    proxy.expire()
    await until(async () => (await sighting(service, 'n7'))?.absences === 0)
    const { body } = await service.call('GET', '/v1/findings')
    t.strictSame(body.items, [])
    proxy.delay = 0
  })
  await t.test('ends its watches while a file of the kubeconfig is missing: they go on when it is back', async (t) => {
    await rename(lab.authority, `${lab.authority}.away`)
    t.ok(proxy.endWatches() > 0)
    await until(async () => service.lines.some((line) => /cannot be read.*ENOENT|ENOENT.*cannot be read/.test(line)))
    t.equal((await service.call('GET', '/livez')).status, 200)
    await rename(`${lab.authority}.away`, lab.authority)
    await removeNode(lab, 'n10')
    await released(service, 'n10')
  })
  await t.test('answers no more: the service ends all the same', async (t) => {
    proxy.hangs = true
    await Promise.all(names(50).map((name) => joinNode(lab, `stranger-${name}`, '192.168.1.10')))
    await until(async () => (await service.call('GET', '/v1/findings?kind=unknown_node')).body.items.length > 20)
    t.equal(await service.stop(), 0)
  })
})

t.test('report tells, and releases nothing', async (t) => {
  const lab = await startLab(t)
  const service = await startInCluster(t, lab, { env: { ...release, EDGE_IPAM_RECLAIM: 'report' } })
  await fleet(lab, service, names(3))
  await removeNode(lab, 'n0')
  await wouldBeDue(service, 'n0')
  t.equal(await stateOf(service, 'n0'), 'registered')
  t.ok(service.lines.some((line) => line.includes('EDGE_IPAM_RECLAIM=release would release them')))
})

t.test('a clock that is set makes nobody gone for longer', async (t) => {
  const lab = await startLab(t)
  const service = await startInCluster(t, lab, { env: { ...release, EDGE_IPAM_RECLAIM_GRACE_SECONDS: '3600' } })
  await fleet(lab, service, names(3))
  await removeNode(lab, 'n0')
  await until(async () => (await sighting(service, 'n0'))?.absences)
  // As if the database's clock had been set a day on: by that alone the hour would be over.
  await query(service, `update sightings set absent_since = absent_since - interval '1 day' where name = 'n0'`)
  await wouldBeDue(service, 'n0')
  t.equal(await stateOf(service, 'n0'), 'registered')
})
