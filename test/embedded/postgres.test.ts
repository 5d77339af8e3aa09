import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installedBinaries } from '../../src/embedded/binaries.js'
import { startEmbeddedPostgres, startServer } from '../../src/embedded/postgres.js'
import { isPostmasterOf } from '../../src/embedded/processes.js'
import { end, postmasterPid, query, startService, tempFolder, until } from './harness.js'

const quiet = () => {}

t.test('a fresh folder gets a durable database, and a restart finds its data', async (t) => {
  const dataDir = tempFolder(t)
  const first = await startEmbeddedPostgres({ dataDir, progress: quiet })
  const { rows } = await query(
    first.url,
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
            current_setting('full_page_writes') as pages, current_setting('listen_addresses') as listens,
            current_setting('server_version_num')::int / 10000 as major, lower('Ä') as letter`,
  )
  t.same(rows, [{ fsync: 'on', commit: 'on', pages: 'on', listens: '127.0.0.1', major: 18, letter: 'ä' }])
  t.equal(statSync(join(dataDir, 'postgres-password')).mode & 0o777, 0o600)
  await query(first.url, 'create table kept as select 42 as answer')
  await first.stop()
  t.equal(postmasterPid(dataDir), undefined, 'a stopped server leaves no pid file')

  const lines: string[] = []
  const second = await startEmbeddedPostgres({ dataDir, progress: (line) => lines.push(line) })
  t.same((await query(second.url, 'select answer from kept')).rows, [{ answer: 42 }])
  t.notOk(lines.includes('making the embedded database'))
  await second.stop()
})

t.test('nobody gets in without the password', async (t) => {
  const server = await startServer({ dataDir: tempFolder(t), progress: quiet })
  t.teardown(() => server.stop())
  const url = new URL(server.url)
  url.password = 'guess'
  await t.rejects(query(url.href, 'select 1'), { code: '28P01' })
})

t.test('after kill -9 of the service the next start ends the old postmaster and finds the data', async (t) => {
  const dataDir = tempFolder(t)
  const killed = await startService(t, dataDir)
  await query(killed.ready.url, 'create table kept as select 42 as answer')
  await end(killed.child, 'SIGKILL')
  t.ok(isPostmasterOf(killed.ready.database, join(dataDir, 'postgres')), 'the postmaster was left behind')

  const next = await startService(t, dataDir)
  t.notOk(isPostmasterOf(killed.ready.database, join(dataDir, 'postgres')), 'it is gone')
  t.equal(postmasterPid(dataDir), next.ready.database)
  t.same((await query(next.ready.url, 'select answer from kept')).rows, [{ answer: 42 }])
  await end(next.child, 'SIGTERM')
  t.notOk(isPostmasterOf(next.ready.database, join(dataDir, 'postgres')), 'a stopped service leaves none')
})

t.test('a postmaster that is killed comes back under the same URL', async (t) => {
  const dataDir = tempFolder(t)
  const server = await startEmbeddedPostgres({ dataDir, progress: quiet })
  t.teardown(() => server.stop())
  await query(server.url, 'create table kept as select 42 as answer')
  const before = server.pid
  process.kill(before, 'SIGKILL')
  await until(() => server.pid !== before, 'a new postmaster runs')
  t.same((await query(server.url, 'select answer from kept')).rows, [{ answer: 42 }])
})

t.test('a pid file that names a foreign process does not block the start, and that process lives', async (t) => {
  const dataDir = tempFolder(t)
  await (await startServer({ dataDir, progress: quiet })).stop()
  const foreign = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  t.teardown(() => foreign.kill('SIGKILL'))
  await once(foreign, 'spawn')
  const folder = join(dataDir, 'postgres')
  writeFileSync(
    join(folder, 'postmaster.pid'),
    `${foreign.pid}\n${folder}\n1700000000\n5432\n\n127.0.0.1\n  1 1\nready\n`,
  )
  const server = await startServer({ dataDir, progress: quiet })
  await server.stop()
  t.equal(foreign.exitCode ?? foreign.signalCode, null)
})

t.test('a half-made database is made again, and what was there is kept aside', async (t) => {
  const dataDir = tempFolder(t)
  mkdirSync(join(dataDir, 'postgres.partial-dead', 'base'), { recursive: true })
  mkdirSync(join(dataDir, 'postgres'))
  writeFileSync(join(dataDir, 'postgres', 'PG_VERSION'), '18\n')
  const server = await startServer({ dataDir, progress: quiet })
  await query(server.url, 'select 1')
  await server.stop()
  const names = readdirSync(dataDir)
  t.notOk(names.includes('postgres.partial-dead'))
  t.equal(names.filter((name) => name.startsWith('postgres.unfinished-')).length, 1)
})

t.test('a finished database is never made again, however damaged', async (t) => {
  const dataDir = tempFolder(t)
  await (await startServer({ dataDir, progress: quiet })).stop()
  rmSync(join(dataDir, 'postgres', 'global', 'pg_control'))
  await t.rejects(startServer({ dataDir, progress: quiet }), { name: 'EmbeddedError', message: /pg_control/ })
  t.ok(existsSync(join(dataDir, 'postgres', 'base')))
})

t.test("somebody else's database in the folder is refused", async (t) => {
  const dataDir = tempFolder(t)
  await (await startServer({ dataDir, progress: quiet })).stop()
  rmSync(join(dataDir, 'postgres', 'edge-ipam.json'))
  await t.rejects(startServer({ dataDir, progress: quiet }), { name: 'EmbeddedError', message: /did not make/ })
  t.ok(existsSync(join(dataDir, 'postgres', 'global', 'pg_control')))
})

t.test('data of another PostgreSQL version is refused and left alone', async (t) => {
  const dataDir = tempFolder(t)
  await (await startServer({ dataDir, progress: quiet })).stop()
  writeFileSync(join(dataDir, 'postgres', 'PG_VERSION'), '17\n')
  await t.rejects(startServer({ dataDir, progress: quiet }), {
    name: 'EmbeddedError',
    message: /PostgreSQL 17.*PostgreSQL 18/,
  })
  t.equal(readFileSync(join(dataDir, 'postgres', 'PG_VERSION'), 'utf8'), '17\n')
})

t.test('a lost password file is replaced, and the data is still there', async (t) => {
  const dataDir = tempFolder(t)
  const first = await startServer({ dataDir, progress: quiet })
  await query(first.url, 'create table kept as select 42 as answer')
  await first.stop()
  rmSync(join(dataDir, 'postgres-password'))
  const second = await startServer({ dataDir, progress: quiet })
  t.teardown(() => second.stop())
  t.not(new URL(second.url).password, new URL(first.url).password)
  t.same((await query(second.url, 'select answer from kept')).rows, [{ answer: 42 }])
})

t.test('programs that do not run on this machine are explained', async (t) => {
  const dataDir = tempFolder(t)
  const binaries = installedBinaries(join(dataDir, 'nothing'))
  await t.rejects(startServer({ dataDir, progress: quiet, binaries }), {
    name: 'EmbeddedError',
    message: /DATABASE_URL/,
  })
})

t.test('a data folder that cannot be written is named, with the way out', async (t) => {
  const file = join(tempFolder(t), 'file')
  writeFileSync(file, '')
  const dataDir = join(file, 'data')
  await t.rejects(startServer({ dataDir, progress: quiet }), { name: 'EmbeddedError', message: dataDir })
})
