import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createDatabase } from '../support/postgres.js'
import { until } from './support.js'

// Who is asked to stop while it brings the database up to date stops, however long that would have waited.

const program = fileURLToPath(new URL('../../bin/edge-ipam.mjs', import.meta.url))

function start(command: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [program, command], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const seen = { output: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      seen.output += text
    })
  }
  return { child, seen, ended: once(child, 'close').then(([code]) => code) }
}

/** A database whose first migration waits in its middle, for a type that somebody else is making. */
async function blockedDatabase(t: Test) {
  const url = await createDatabase(t)
  const blocker = new pg.Client({ connectionString: url })
  await blocker.connect()
  t.teardown(() => blocker.end())
  await blocker.query('begin')
  await blocker.query(`create type token_role as enum ('x')`)
  // Of a transaction's own there is one view of what goes on, however often it looks.
  const watcher = new pg.Client({ connectionString: url })
  await watcher.connect()
  t.teardown(() => watcher.end())
  const others = async () => {
    const { rows } = await watcher.query(
      `select wait_event_type as waits from pg_stat_activity
       where datname = current_database() and application_name like 'edge-ipam%'`,
    )
    return rows as { waits: string | null }[]
  }
  return {
    url,
    blocker,
    isWaiting: async () => (await others()).some(({ waits }) => waits === 'Lock'),
    connections: async () => (await others()).length,
  }
}

for (const [command, expected] of [
  ['migrate', 1],
  ['serve', 0],
] as const) {
  t.test(`${command} in the middle of a migration: SIGTERM ends it, and nothing of it stays`, async (t) => {
    const { url, blocker, isWaiting, connections } = await blockedDatabase(t)
    const token = randomBytes(24).toString('base64url')
    const { child, seen, ended } = start(command, { DATABASE_URL: url, EDGE_IPAM_ADMIN_TOKEN: token })
    t.teardown(() => child.kill('SIGKILL'))
    await until('it waits', isWaiting)
    child.kill('SIGTERM')
    t.equal(await ended, expected)
    if (expected === 1) t.match(seen.output, /stopped before the database was ready/)
    t.notMatch(seen.output, /\n\s+at /, 'in a line that people understand')
    await until('its connections are gone', async () => (await connections()) === 0)
    await blocker.query('rollback')
    const { rows } = await blocker.query(`select to_regclass('pools') as pools, to_regtype('pool_state') as type`)
    t.same(rows, [{ pools: null, type: null }], 'the migration is undone')
    const again = start('migrate', { DATABASE_URL: url })
    t.equal(await again.ended, 0, again.seen.output)
  })
}

t.test('migrate on the embedded database: SIGTERM leaves no postmaster behind', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-stop-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const env = { EDGE_IPAM_DATA_DIR: join(folder, 'data') }
  const { child, seen, ended } = start('migrate', env)
  t.teardown(() => child.kill('SIGKILL'))
  await until('it is starting', () => seen.output.includes('starting the embedded database'))
  child.kill('SIGTERM')
  t.equal(await ended, 1, seen.output)
  t.match(seen.output, /stopped before the database was ready/)
  const again = start('migrate', env)
  t.equal(await again.ended, 0, again.seen.output)
  t.notMatch(again.seen.output, /left behind/, 'the next one finds nothing that still runs')
})
