import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { STATUS_CODES } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { violations } from '../support/invariants.js'
import { createDatabase } from '../support/postgres.js'
import { type Service, startService } from '../support/service.js'
import { root } from './dockerfile.js'
import { blocksRunIn, readText, tableRows } from './markdown.js'

// What docs/operating.md promises, done with the commands that it shows.

const text = readText('docs/operating.md')
const [dump, restore, pack, unpack] = blocksRunIn('test/repository/operating.test.ts', text) as [string, ...string[]]

/** Something of every kind: held, registered, resting, reserved, and who may what. */
async function fill({ call }: Service): Promise<void> {
  await call('PUT', '/v1/networks', { items: [{ kind: 'pod', cidr: '10.233.64.0/18' }] })
  await call('POST', '/v1/pools/default/reservations', { start: '10.213.0.2', reason: 'gateway' })
  await call('POST', '/v1/pools', { name: 'six', cidr: 'fd00:213::/64' })
  await call('POST', '/v1/tokens', { role: 'join', namePattern: 'edge-*', maxUses: 3 })
  for (const name of ['edge-1', 'edge-2', 'edge-3']) {
    await call('POST', '/v1/allocations', { nodeName: name, displayIp: '192.168.1.10', labels: { site: 'hamburg' } })
  }
  await call('POST', '/v1/allocations', { nodeName: 'edge-4', pool: 'six' })
  await call('POST', '/v1/nodes/edge-2/registration', {})
  await call('DELETE', '/v1/nodes/edge-3/allocation')
}

/** All that a service can tell. */
async function everything({ call }: Service): Promise<unknown> {
  const paths = ['networks', 'pools', 'pools/default', 'allocations', 'nodes', 'tokens', 'audit'].map(
    (name) => `/v1/${name}`,
  )
  const answers = await Promise.all(paths.map((path) => call('GET', path)))
  // When a token was last used is noted when it is used, by this very question, too.
  return answers.map(({ status, body }) => ({ status, body: JSON.parse(JSON.stringify(body, withoutUses)) }))
}

function withoutUses(key: string, value: unknown): unknown {
  return key === 'lastUsedAt' ? undefined : value
}

function folderOf(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-backup-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const emptyDatabase = await createDatabase(t)
const tried = spawnSync('pg_dump', ['--schema-only', emptyDatabase], { encoding: 'utf8' })
const cannotDump =
  tried.status !== 0 && `needs a pg_dump that is not older than the server: ${tried.stderr ?? tried.error}`

t.test(
  'what was dumped is restored with everything, and a service goes on from there',
  { skip: cannotDump },
  async (t) => {
    const cwd = folderOf(t)
    const before = await startService(t)
    await fill(before)
    const databases = { DATABASE_URL: before.databaseUrl, NEW_DATABASE_URL: await createDatabase(t) }
    const run = (script: string) =>
      execFileSync('sh', ['-euc', script], { cwd, env: { PATH: process.env.PATH, ...databases } })
    run(dump)
    const then = await everything(before)
    run(restore!)
    const after = await startService(t, { databaseUrl: databases.NEW_DATABASE_URL, adminToken: before.adminToken })
    t.strictSame(await everything(after), then)
    t.strictSame(await violations(databases.NEW_DATABASE_URL), [])
    const next = await before.call('POST', '/v1/allocations', { nodeName: 'edge-5' })
    t.match(await after.call('POST', '/v1/allocations', { nodeName: 'edge-5' }), {
      status: 201,
      body: { uniqueIp: next.body.uniqueIp, sequence: next.body.sequence },
    })
  },
)

t.test('a data folder that was packed is unpacked with everything', async (t) => {
  const cwd = folderOf(t)
  const dataDir = join(cwd, '.edge-ipam')
  const options = { databaseUrl: '', adminToken: 'x'.repeat(40), env: { EDGE_IPAM_DATA_DIR: dataDir } }
  const before = await startService(t, options)
  await fill(before)
  const then = await everything(before)
  t.equal(await before.stop(), 0)
  execFileSync('sh', ['-euc', pack!], { cwd })
  rmSync(dataDir, { recursive: true })
  execFileSync('sh', ['-euc', unpack!], { cwd })
  const after = await startService(t, options)
  t.strictSame(await everything(after), then)
  t.equal(await after.stop(), 0)
})

t.test('a replica goes on when a newer version has migrated the database', async (t) => {
  const service = await startService(t)
  const client = new pg.Client(service.databaseUrl)
  await client.connect()
  await client.query(`insert into kysely_migration (name, timestamp) values ('9999_of_a_newer_version', 'now')`)
  await client.query('alter table nodes add column of_a_newer_version text')
  await client.end()
  t.equal((await service.call('GET', '/readyz')).status, 200)
  t.equal((await service.call('POST', '/v1/allocations', { nodeName: 'edge-1' })).status, 201)
  t.equal((await service.call('GET', '/v1/nodes/edge-1')).status, 200)
})

t.test('every metric that the documents speak of is there', async (t) => {
  const service = await startService(t)
  const scrape = (await service.call('GET', '/metrics')).text
  const known = [...scrape.matchAll(/^# TYPE (\w+) (\w+)/gm)].flatMap(([, name, kind]) =>
    kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name!],
  )
  const [rules] = [.../```yaml\n([\s\S]*?)```/.exec(text)!].slice(1)
  const alerts = parse(rules!).groups[0].rules as { alert: string; expr: string; annotations: { summary: string } }[]
  t.ok(alerts.length > 5)
  for (const { alert, expr, annotations } of alerts) {
    const named = expr.match(/\b(?:edge_ipam|nodejs|process)_\w+/g) ?? []
    t.ok(named.length > 0 || /\bup\b/.test(expr), alert)
    t.ok(annotations.summary, alert)
    for (const name of named) t.ok(known.includes(name), `${alert}: ${name}`)
  }
  for (const [name] of text.replace(rules!, '').matchAll(/\bedge_ipam_\w+/g)) t.ok(known.includes(name), name)
})

t.test('every line of the log that the document explains is one that the service writes', async (t) => {
  const words = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
  const lines = tableRows(text, '`msg`').map(([line]) => line!)
  t.ok(lines.length > 5)
  for (const line of lines) {
    const parts = line.split('…').flatMap((part) => part.trim() || [])
    t.ok(parts.length > 0, line)
    for (const part of parts) t.ok(words.includes(part) || Object.values(STATUS_CODES).includes(part), line)
  }
})
