import t from 'tap'
import type { Service } from '../support/service.js'
import { joinNode } from './cluster.js'
import { type Lab, startLab } from './lab.js'
import { startInCluster, until } from './service.js'

// Of several replicas one works for the cluster.

const works = (service: Service) => service.lines.some((line) => line.includes('this replica works for the cluster'))

async function isFound(service: Service, name: string): Promise<boolean> {
  const { body } = await service.call('GET', '/v1/findings?kind=unknown_node')
  return body.items.some(({ nodeName }: { nodeName: string }) => nodeName === name)
}

async function eventsOf(lab: Lab, name: string): Promise<string[]> {
  const { body } = await lab.ask('GET', `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=${name}`)
  return body.items.map(({ reason }: { reason: string }) => reason)
}

t.test('one replica at a time looks at the cluster, and another goes on when it ends', async (t) => {
  const lab = await startLab(t)
  await joinNode(lab, 'cloud', '172.31.0.4', { edge: false })
  const start = (like?: Service) =>
    startInCluster(t, lab, { ...(like && { databaseUrl: like.databaseUrl, adminToken: like.adminToken }) })
  const first = await start()
  await until(async () => works(first))
  const second = await start(first)
  await joinNode(lab, 'a', '192.168.1.10')
  await until(() => isFound(second, 'a'))
  await until(async () => (await eventsOf(lab, 'a')).length > 0)
  t.notOk(works(second))
  t.strictSame(await eventsOf(lab, 'a'), ['UnknownNode'], 'told once')

  await t.test('by itself', async () => {
    await first.stop()
    await until(async () => works(second))
    await joinNode(lab, 'b', '192.168.1.11')
    await until(() => isFound(second, 'b'))
  })
  await t.test('by kill -9', async () => {
    const third = await start(second)
    await second.kill9()
    await until(async () => works(third))
    await joinNode(lab, 'c', '192.168.1.12')
    await until(() => isFound(third, 'c'))
  })
})
