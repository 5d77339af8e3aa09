import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openDataDir } from '../../src/embedded/data-dir.js'
import { EmbeddedError } from '../../src/embedded/errors.js'
import { lockFolder } from '../../src/embedded/folder-lock.js'
import { processIdentity, processSpace } from '../../src/embedded/processes.js'
import { end, startService, tempFolder } from './harness.js'

const mode = (path: string) => statSync(path).mode & 0o777

/** Leaves a lock as somebody else would have. */
function plantTurn(folder: string, changes: Record<string, unknown>): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, '1')
  const turn = { pid: process.pid, start: processIdentity(process.pid), ...processSpace(), ...changes }
  writeFileSync(file, `${JSON.stringify(turn)}\n`)
  return file
}

t.test('the folder and its secrets are for their owner only', async (t) => {
  const path = join(tempFolder(t), 'deep', 'data')
  const folder = await openDataDir(path)
  const token = folder.adminToken()
  t.match(token, /^[\w-]{43}$/)
  t.equal(mode(path), 0o700)
  t.equal(mode(folder.adminTokenFile), 0o600)
  t.equal(folder.adminToken(), token, 'the token stays')
  folder.close()
  const again = await openDataDir(path)
  t.equal(again.adminToken(), token, 'and survives a restart')
  again.close()
})

t.test('a token file without a token is refused, not replaced', async (t) => {
  const folder = await openDataDir(tempFolder(t))
  writeFileSync(folder.adminTokenFile, 'short\n')
  t.throws(() => folder.adminToken(), { name: 'EmbeddedError', message: folder.adminTokenFile })
  t.equal(readFileSync(folder.adminTokenFile, 'utf8'), 'short\n')
  folder.close()
})

t.test('a folder with other things in it keeps its mode', async (t) => {
  const path = join(tempFolder(t), 'shared')
  mkdirSync(path, { mode: 0o755 })
  writeFileSync(join(path, 'letter.txt'), '')
  ;(await openDataDir(path)).close()
  t.equal(mode(path), 0o755)
})

t.test('a folder that cannot be made is named, with the way out', async (t) => {
  const file = join(tempFolder(t), 'file')
  writeFileSync(file, '')
  await t.rejects(openDataDir(join(file, 'data')), EmbeddedError)
  await t.rejects(openDataDir(join(file, 'data')), { message: join(file, 'data') })
  await t.rejects(openDataDir(join(file, 'data')), { message: /DATABASE_URL/ })
})

t.test('a second service is refused and told who has the folder; a killed one frees it', async (t) => {
  const path = tempFolder(t)
  const { child, ready } = await startService(t, path)
  await t.rejects(openDataDir(path), {
    name: 'EmbeddedError',
    message: new RegExp(`pid ${ready.pid}, http://127.0.0.1:8080`),
  })
  await end(child, 'SIGKILL')
  ;(await openDataDir(path)).close()
})

t.test('of many that find a dead lock at once, one gets the folder', async (t) => {
  for (let round = 0; round < 25; round++) {
    const folder = join(tempFolder(t), 'locks')
    plantTurn(folder, { start: 'before the last one' })
    const results = await Promise.all(Array.from({ length: 20 }, () => lockFolder(folder)))
    const locks = results.flatMap((result) => ('lock' in result ? [result.lock] : []))
    if (locks.length !== 1) t.fail(`${locks.length} got the lock`)
    for (const lock of locks) lock.release()
  }
  t.pass('in every round')
})

t.test('a lock outlives many turns', async (t) => {
  const folder = tempFolder(t)
  for (let turn = 0; turn < 20; turn++) {
    const first = await lockFolder(folder)
    if (!('lock' in first)) return t.fail('a released lock was not free')
    const second = await lockFolder(folder)
    if (!('holder' in second)) return t.fail('a held lock was given away')
    first.lock.release()
  }
  t.pass('free after each release, held before it')
})

const owners: { name: string; changes: Record<string, unknown>; lastBeatAgo: number; held: boolean }[] = [
  { name: 'this process', changes: {}, lastBeatAgo: 0, held: true },
  { name: 'a pid that now belongs to another process', changes: { start: '1' }, lastBeatAgo: 0, held: false },
  { name: 'a process from before the machine started', changes: { boot: 'earlier' }, lastBeatAgo: 0, held: false },
  { name: 'one that let go', changes: { released: true }, lastBeatAgo: 0, held: false },
  { name: 'a silent one in another container', changes: { namespace: 'pid:[1]' }, lastBeatAgo: 60_000, held: false },
]
for (const { name, changes, lastBeatAgo, held } of owners) {
  t.test(`a lock of ${name} is ${held ? 'held' : 'free'}`, async (t) => {
    const folder = tempFolder(t)
    const beat = new Date(Date.now() - lastBeatAgo)
    utimesSync(plantTurn(folder, changes), beat, beat)
    const result = await lockFolder(folder)
    t.equal('holder' in result, held)
    if ('lock' in result) result.lock.release()
  })
}

t.test('a lock of a beating one in another container is held', async (t) => {
  const folder = tempFolder(t)
  const file = plantTurn(folder, { namespace: 'pid:[1]' })
  const beat = setInterval(() => utimesSync(file, new Date(), new Date()), 50)
  t.teardown(() => clearInterval(beat))
  t.match(await lockFolder(folder), { holder: { pid: process.pid } })
})
