import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type EmbeddedPostgres, startServer } from '../../src/embedded/postgres.js'
import { asNobody, cannotBeNobody, end, notRoot, query, startService, tempFolder } from './harness.js'

const quiet = () => {}
const missing = '/nonexistent'

async function keepAndRead(server: EmbeddedPostgres): Promise<unknown> {
  await query(server.url, 'create table if not exists kept as select 42 as answer')
  return (await query(server.url, 'select answer from kept')).rows[0].answer
}

/** A folder of mode 700 inside one of mode 700, as under root's home. */
function privateFolder(t: Parameters<typeof tempFolder>[0]): string {
  const outer = tempFolder(t)
  chmodSync(outer, 0o700)
  const dataDir = join(outer, 'private', 'data')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  return dataDir
}

t.test('an ordinary user starts it', { skip: cannotBeNobody() }, async (t) => {
  const folder = tempFolder(t)
  chownSync(folder, 65_534, 65_534)
  const { child, ready } = await startService(t, folder, asNobody)
  t.equal(statSync(join(folder, 'postgres')).uid, 65_534)
  t.equal((await query(ready.url, 'select 42 as answer')).rows[0].answer, 42)
  await end(child, 'SIGTERM')
})

t.test('root starts it in a folder that only root can enter', { skip: notRoot() }, async (t) => {
  const dataDir = privateFolder(t)
  const server = await startServer({ dataDir, progress: quiet })
  t.equal(await keepAndRead(server), 42)
  await server.stop()
})

t.test(
  'root does too where user namespaces are refused, also with data from before',
  { skip: notRoot() },
  async (t) => {
    const dataDir = privateFolder(t)
    const before = await startServer({ dataDir, progress: quiet })
    t.equal(await keepAndRead(before), 42)
    await before.stop()
    const rootTools = { unshare: missing, setpriv: 'setpriv' }
    for (const round of ['taken over', 'and again']) {
      const server = await startServer({ dataDir, progress: quiet, rootTools })
      t.equal(await keepAndRead(server), 42, round)
      await server.stop()
    }
    t.equal(statSync(join(dataDir, 'postgres')).uid, 65_534)
    const back = await startServer({ dataDir, progress: quiet })
    t.equal(await keepAndRead(back), 42, 'and back where they are allowed')
    await back.stop()
  },
)

t.test(
  "root in another user's folder leaves data that this user can go on with",
  { skip: cannotBeNobody() },
  async (t) => {
    const folder = tempFolder(t)
    chownSync(folder, 65_534, 65_534)
    const roots = await startService(t, folder)
    await query(roots.ready.url, 'create table kept as select 42 as answer')
    await end(roots.child, 'SIGTERM')
    const { child, ready } = await startService(t, folder, asNobody)
    t.equal((await query(ready.url, 'select answer from kept')).rows[0].answer, 42)
    await end(child, 'SIGTERM')
  },
)

t.test('root without any such tool is told what to do', { skip: notRoot() }, async (t) => {
  const dataDir = privateFolder(t)
  const start = startServer({ dataDir, progress: quiet, rootTools: { unshare: missing, setpriv: missing } })
  await t.rejects(start, { name: 'EmbeddedError', message: /DATABASE_URL/ })
})
