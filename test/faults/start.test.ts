import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t from 'tap'
import { knownMigrations } from '../../src/store/migrate.js'
import { violations } from '../support/invariants.js'
import { createDatabase, startPrivatePostgres } from '../support/postgres.js'
import { startService } from '../support/service.js'
import { until } from './support.js'

// What goes wrong when a service starts: it says so in lines that people understand, ends with the right code, and
// never prints a secret.

// Most of it is waiting, so some of them run side by side.
t.jobs = 3
const atOnce = { buffered: true, timeout: 180_000 }

const program = fileURLToPath(new URL('../../bin/edge-ipam.mjs', import.meta.url))
const newToken = () => randomBytes(24).toString('base64url')

/** Starts a service that is expected to give up by itself. */
async function giveUp(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [program, 'serve'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', EDGE_IPAM_ADMIN_TOKEN: newToken(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000)
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  return { code, output }
}

/** What people read has no stack of ours in it. */
const noStack = /^((?!\n\s+at ).)*$/s

async function query(url: string, text: string, values: unknown[] = []) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

t.test('a port that is taken', atOnce, async (t) => {
  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  t.teardown(() => squatter.close())
  const { port } = squatter.address() as { port: number }
  const { code, output } = await giveUp({ DATABASE_URL: await createDatabase(t), PORT: String(port) })
  t.equal(code, 1)
  t.match(output, new RegExp(`PORT=${port}.*another program`))
  t.match(output, noStack)
})

t.test('several settings that are wrong are all named, and no secret is printed', atOnce, async (t) => {
  const { code, output } = await giveUp({
    PORT: '99999',
    DATABASE_URL: 'mysql://root:hush-hush@db/x',
    REDIS_URL: 'http://:hush-hush@cache/',
    EDGE_IPAM_ADMIN_TOKEN: 'hush-hush',
    EDGE_IPAM_POOL: '10.0.0.1/8',
    LOG_LEVEL: 'loud',
  })
  t.equal(code, 2)
  for (const name of [
    'PORT=99999',
    'DATABASE_URL',
    'REDIS_URL',
    'EDGE_IPAM_ADMIN_TOKEN',
    'EDGE_IPAM_POOL',
    'LOG_LEVEL=loud',
  ])
    t.ok(
      output.split('\n').some((line) => line.includes(name)),
      `${name} is named`,
    )
  t.notMatch(output, /hush/)
  t.match(output, noStack)
})

t.test('a DATABASE_URL that is none', atOnce, async (t) => {
  for (const url of ['postgres//db/x', 'postgres://', 'db.example:5432', 'postgres://u:hush hush@h:port/x']) {
    const { code, output } = await giveUp({ DATABASE_URL: url })
    t.equal(code, 2, url)
    t.match(output, /DATABASE_URL/, url)
    t.notMatch(output, /hush/, url)
    t.match(output, noStack, url)
  }
})

t.test('a DATABASE_URL that the server refuses', atOnce, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const [wrongPassword, wrongName] = [new URL(postgres.url), new URL(postgres.url)]
  wrongPassword.password = 'hush-hush'
  wrongName.pathname = '/no_such_database'
  for (const [what, url] of Object.entries({ password: wrongPassword, no_such_database: wrongName })) {
    const { code, output } = await giveUp({ DATABASE_URL: url.href })
    t.equal(code, 2, what)
    t.match(output, new RegExp(`DATABASE_URL.*${what}`))
    t.notMatch(output, /hush/, what)
    t.notMatch(output, new URL(postgres.url).password, what)
    t.match(output, noStack, what)
  }
})

t.test('a DATABASE_URL where nobody answers', atOnce, async (t) => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  const { code, output } = await giveUp({ DATABASE_URL: `postgres://postgres:hush-hush@127.0.0.1:${port}/x` })
  t.equal(code, 1)
  t.match(output, /DATABASE_URL.*cannot be reached/)
  t.notMatch(output, /hush/)
  t.match(output, noStack)
})

t.test('a database that newer code has migrated', atOnce, async (t) => {
  const databaseUrl = await createDatabase(t)
  const service = await startService(t, { databaseUrl })
  await service.stop()
  await query(databaseUrl, `insert into kysely_migration (name, timestamp) values ('9999_from_the_future', 'then')`)
  const { code, output } = await giveUp({ DATABASE_URL: databaseUrl })
  t.equal(code, 1)
  t.match(output, /9999_from_the_future.*does not know/)
  t.match(output, noStack)
})

t.test('replicas that start at once on an empty database all come up, and migrate it once', atOnce, async (t) => {
  const databaseUrl = await createDatabase(t)
  const adminToken = newToken()
  const services = await Promise.all(
    Array.from({ length: 4 }, () => startService(t, { databaseUrl, adminToken, env: { LOG_LEVEL: 'warn' } })),
  )
  for (const service of services) t.equal((await service.call('GET', '/readyz')).status, 200)
  const applied = await query(databaseUrl, 'select name from kysely_migration order by name')
  t.same(
    applied.map(({ name }) => name),
    await knownMigrations(),
  )
  const audit = await query(databaseUrl, 'select action, count(*)::int as times from audit group by action order by 1')
  t.same(audit, [
    { action: 'pool.created', times: 1 },
    { action: 'token.created', times: 1 },
  ])
  t.same(await violations(databaseUrl), [])
})

t.test('another admin token at a start replaces the old one on replicas that run', atOnce, async (t) => {
  const old = await startService(t)
  t.equal((await old.call('GET', '/v1/pools')).status, 200)
  const adminToken = newToken()
  const other = await startService(t, { databaseUrl: old.databaseUrl, adminToken })
  // A second is what is promised; that it takes no longer than that is not for a busy machine to judge.
  await until('the old token is dead', async () => (await old.call('GET', '/v1/pools')).status === 401)
  t.equal((await old.call('GET', '/v1/pools', undefined, { token: adminToken })).status, 200)
  t.equal((await other.call('GET', '/v1/pools', undefined, { token: old.adminToken })).status, 401)
})

t.test('SIGTERM: what is under way is answered, then it ends with 0', atOnce, async (t) => {
  const service = await startService(t)
  const blocker = new pg.Client({ connectionString: service.databaseUrl })
  await blocker.connect()
  t.teardown(() => blocker.end())
  await blocker.query('begin')
  await blocker.query('select from pools for update')
  const answers = Promise.all(
    Array.from({ length: 20 }, (_, number) => service.call('POST', '/v1/allocations', { nodeName: `n${number}` })),
  )
  await until('they wait', async () => {
    const [row] = await query(
      service.databaseUrl,
      `select count(*)::int as waiting from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return row!.waiting > 0
  })
  const ended = service.stop()
  await until('it takes no new connections', async () => {
    return service.call('GET', '/livez').then(
      () => false,
      () => true,
    )
  })
  await blocker.query('commit')
  t.same(
    (await answers).map(({ status }) => status),
    Array(20).fill(201),
  )
  t.equal(await ended, 0)
})
