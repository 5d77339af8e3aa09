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

const sighting = async (service: Service, nodeName: string) => {
  const db = new pg.Client({ connectionString: service.databaseUrl })
  await db.connect()
  try {
    const { rows } = await db.query(
      'select absences, extract(epoch from clock_timestamp() - absent_since) as seconds from sightings where name = $1',
      [nodeName],
    )
    return rows[0] as { absences: number; seconds: string } | undefined
  } finally {
    await db.end()
  }
}

/** Waits until a node was missing so often and so long that only what is tested here keeps its address. */
const wouldBeDue = (service: Service, nodeName: string) =>
  until(async () => {
    const seen = await sighting(service, nodeName)
    return seen !== undefined && seen.absences >= 5 && Number(seen.seconds) > 5
  })

t.test('an apiserver that lists too little', async (t) => {
  const lab = await startLab(t)
  const proxy = await startLyingProxy(t, lab)
  const service = await startInCluster(t, lab, { kubeconfig: proxy.kubeconfig, env: release })
  await fleet(lab, service, names(20))

  await t.test('leaves one out: it is asked for by name before it is released', async (t) => {
    proxy.hide = (name) => name === 'n7'
    proxy.expire()
    for(let i=0;i<8;i++){ await new Promise(r=>setTimeout(r,2000)); console.error(JSON.stringify(await sighting(service,'n7')), proxy.lists, service.lines.filter(l=>!l.includes('"method"')).slice(-4).join('\n')) }
    await wouldBeDue(service, 'n7')
    t.equal(await stateOf(service, 'n7'), 'registered')
    t.ok(service.lines.some((line) => line.includes('not released, though it was missing')))
  })
  await t.test('lists nothing: nobody is missed in it', async (t) => {
    const before = (await sighting(service, 'n8'))?.absences ?? 0
    proxy.hide = () => true
    const { lists } = proxy
    proxy.expire()
    await until(async () => proxy.lists > lists)
    await until(async () => {
      const { body } = await service.call('GET', '/v1/findings')
      return body
    })
    t.equal((await sighting(service, 'n8'))?.absences ?? 0, before)
    t.equal(await stateOf(service, 'n8'), 'registered')
  })
  await t.test('is slow, and forgets what it told (410): all is as it was before', async (t) => {
    proxy.hide = () => false
    proxy.delay = 1_500
    proxy.expire()
    await until(async () => (await sighting(service, 'n7'))?.absences === 0)
    const { body } = await service.call('GET', '/v1/findings')
    t.strictSame(body.items, [])
  })
})

