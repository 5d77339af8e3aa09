import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { blocksRunIn, readText } from '../repository/markdown.js'
import { installJobs, startEdges } from './edge.js'
import { startLab } from './lab.js'
import { account, ended, eventually, startWith, unique } from './readdress-support.js'

t.test('docs/readdress.md: one after the other, its commands do what it says', async (t) => {
  const lab = await startLab(t)
  await installJobs(lab)
  const edges = await startEdges(t, lab)
  const service = await startWith(t, await account(lab, 'edge-ipam'))
  for (const name of ['hamburg-cam-1', 'munich-cam-1']) {
    await unique(service, name)
    await edges.join(name, '192.168.1.10', 'waits')
  }
  await mkdir(join(lab.folder, '.edge-ipam'))
  await writeFile(join(lab.folder, '.edge-ipam', 'admin-token'), service.adminToken)
  const blocks = blocksRunIn('test/kubernetes/readdress-docs.test.ts', readText('docs/readdress.md'))
  t.equal(blocks.length, 3)
  const separator = '-- next --'
  const script = ['set -eu', ...blocks.map((block) => `${block}\necho '${separator}'`)].join('\n')
  const { stdout } = await promisify(execFile)('sh', ['-c', script.replaceAll('http://127.0.0.1:8080', service.url)], {
    cwd: lab.folder,
  })
  const [one, many, progress] = stdout.split(separator).map((text) => text.trim()) as [string, string, string]
  t.match(JSON.parse(one), { state: 'running', counts: { waiting: 1 } })
  t.match(JSON.parse(many), { state: 'running', counts: { waiting: 1 }, atOnce: 5 }, 'the other node')
  const [run, failed, stopped] = progress.split(/(?<=\})(?=\{)/).map((text) => JSON.parse(text))
  t.equal(run.id, JSON.parse(many).id)
  t.same(failed.items, [])
  t.match(stopped, { id: run.id, stoppedBy: /^admin:/ })
  const released = eventually('both are released', () => {
    edges.release()
    return edges.jobs.size === 0 && edges.made.length > 0
  })
  t.match(await ended(service, run.id), { state: 'stopped' })
  await released
})
