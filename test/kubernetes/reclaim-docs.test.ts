import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { blocksRunIn, readText } from '../repository/markdown.js'
import { joinNode, removeNode } from './cluster.js'
import { startLab } from './lab.js'
import { shell } from './manifests.js'
import { startInCluster, until } from './service.js'

/** What the service answers to an administrator's word. */
interface Answer {
  items: { nodeName: string; released: boolean; reason: string | null }[]
  left: number
}

t.test("docs/kubernetes.md: an administrator's word does what it says", async (t) => {
  const lab = await startLab(t)
  const env = { EDGE_IPAM_RECLAIM: 'off', EDGE_IPAM_RECLAIM_GRACE_SECONDS: '3600', EDGE_IPAM_LOOK_SECONDS: '1' }
  const service = await startInCluster(t, lab, { env })
  const db = new pg.Client(service.databaseUrl)
  await db.connect()
  t.teardown(() => db.end())
  const cams = ['hamburg-cam-1', 'hamburg-cam-2']
  for (const nodeName of [...cams, 'munich-cam-1']) {
    const { body } = await service.call('POST', '/v1/allocations', { nodeName })
    await joinNode(lab, nodeName, body.uniqueIp)
    await service.call('POST', `/v1/nodes/${nodeName}/registration`, { reportedIp: body.uniqueIp })
  }
  for (const name of cams) await removeNode(lab, name)
  await until(async () => {
    const { rows } = await db.query('select name from sightings where absences >= 2')
    return rows.length === cams.length
  })
  // As if both had joined a day earlier, and the first had left then.
  await db.query(`
    update allocations set allocated_at = allocated_at - interval '1 day', registered_at = registered_at - interval '1 day';
    update sightings set absent_since = absent_since - interval '1 day' where name = '${cams[0]}'`)

  await mkdir(join(lab.folder, '.edge-ipam'))
  await writeFile(join(lab.folder, '.edge-ipam', 'admin-token'), service.adminToken)
  const text = readText('docs/kubernetes.md')
  const [script = ''] = blocksRunIn('test/kubernetes/reclaim-docs.test.ts', text)
  const stdout = await shell(lab, script.replaceAll('http://127.0.0.1:8080', service.url))
  const answers = stdout.split(/(?<=\})(?=\{"items")/).map((answer) => JSON.parse(answer))
  const documented = JSON.parse(/^\{"items":.*$/m.exec(text)![0])
  t.equal(answers.length, 2, 'what would be done, and what was')
  const told = ({ items, left }: Answer) => ({
    items: items.map(({ nodeName, released, reason }) => ({
      nodeName,
      released,
      reason: reason?.replace(/for \d+ s/, 'for 12 s') ?? null,
    })),
    left,
  })
  for (const answer of answers) {
    t.strictSame(told(answer), told(documented))
    t.strictSame(Object.keys(answer.items[0]), Object.keys(documented.items[0]))
  }

  const stateOf = async (name: string) => (await service.call('GET', `/v1/nodes/${name}`)).body.state
  t.strictSame(await Promise.all(cams.map(stateOf)), [null, 'registered'])
  await until(async () => {
    const { body } = await service.call('GET', '/v1/findings?kind=node_gone')
    return body.items.length === 1 && body.items[0].nodeName === cams[1]
  })
  t.pass('off does not do away with the finding')
  t.equal((await service.call('DELETE', '/v1/nodes/hamburg-cam-2/allocation')).status, 200, 'before its time, by name')
})
