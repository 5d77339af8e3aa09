import { randomUUID } from 'node:crypto'
import { crowd } from '../databases.js'
import type { Bench } from '../measurement.js'
import type { Finding } from '../probe.js'
import type { Scope } from '../scope.js'
import { type HttpServer, startService } from '../servers/http.js'
import { withClient } from '../servers/postgres.js'

/** So many allocations in a request, and requests at a time. */
const BATCH = 1_000
const AT_ONCE = 4

/** Bytes by table and index; what belongs to a table and is not an index (its free space map, TOAST) is the table's. */
type Sizes = Map<string, number>

/**
 * What PostgreSQL stores for an allocation: how much its tables and indexes grow, by the file, while the service allocates
 * to new nodes. Names come in no order, as nodes join: in order the indexes would be fuller.
 */
export async function measureStored(bench: Bench, scope: Scope): Promise<Finding> {
  const count = bench.quick ? 20_000 : 100_000
  const told = await measureGrowth(bench, scope, count, { withUid: true })
  const plain = bench.quick ? undefined : await measureGrowth(bench, scope, count, { withUid: false })
  return {
    values: {
      stored: [told.allocations! + told.audit!],
      'stored-plain': plain === undefined ? [] : [plain.allocations! + plain.audit!],
      'stored-node': [told.nodes!],
      'stored-free': await bytesOfFree(bench, scope),
    },
  }
}

/** Bytes for each allocation, by table, its indexes included. */
async function measureGrowth(
  bench: Bench,
  scope: Scope,
  count: number,
  { withUid }: { withUid: boolean },
): Promise<Record<string, number>> {
  const databaseUrl = await bench.postgres.createDatabase(scope)
  const server = await startService(scope, { program: bench.program, databaseUrl, pool: '10.0.0.0/8' })
  const before = await sizesOf(databaseUrl)
  await allocate(server, count, withUid)
  const after = await sizesOf(databaseUrl)
  const what = withUid ? 'display IP and UID' : 'display IP'
  bench.progress(`  ${count.toLocaleString('en')} allocations to nodes that tell their ${what}, bytes for each:`)
  const sums: Record<string, number> = {}
  const parts: Record<string, string[]> = {}
  for (const [name, bytes] of after) {
    const [table, relation] = name.split(' ') as [string, string]
    const each = (bytes - (before.get(name) ?? 0)) / count
    sums[table] = (sums[table] ?? 0) + each
    parts[table] = [...(parts[table] ?? []), `${relation} ${each.toFixed(1)}`]
  }
  for (const [table, sum] of Object.entries(sums)) {
    if (sum > 0.05) bench.progress(`    ${table} ${sum.toFixed(1)}: ${parts[table]!.join(', ')}`)
  }
  return sums
}

async function allocate({ url, token }: HttpServer, count: number, withUid: boolean): Promise<void> {
  const numbers = shuffled(count)
  const send = async () => {
    while (numbers.length > 0) {
      const items = numbers.splice(-BATCH).map((number) => ({
        nodeName: `edge-r00-${String(number).padStart(8, '0')}`,
        displayIp: `192.168.${(number >> 8) & 255}.${Math.floor(number / crowd.nodesPerDisplayIp) & 255}`,
        ...(withUid && { nodeUid: randomUUID() }),
      }))
      const answer = await call(url, token, '/v1/allocations/batch', { items })
      const { results } = (await answer.json()) as { results: { status: number }[] }
      const made = results.filter(({ status }) => status === 201).length
      if (made !== items.length) throw new Error(`of ${items.length} allocations ${made} were made`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, send))
}

/** Pools of few and of many addresses; written with as many characters, since the audit trail keeps their CIDRs. */
const PAIRS = [
  [
    { cidr: '11.0.0.0/24', bits: 8 },
    { cidr: '110.0.0.0/8', bits: 24 },
  ],
  [
    { cidr: '2001:db8::1:0/120', bits: 8 },
    { cidr: '2001:db8:1:1::/64', bits: 64 },
  ],
] as const

/** For each address more that a pool has: how much more is stored for the pool. */
async function bytesOfFree(bench: Bench, scope: Scope): Promise<number[]> {
  const databaseUrl = await bench.postgres.createDatabase(scope)
  const { url, token } = await startService(scope, { program: bench.program, databaseUrl, pool: '10.0.0.0/8' })
  const stored = async (cidr: string) => {
    const name = `free-${pools++}`
    await call(url, token, '/v1/pools', { name, cidr })
    const { bytes, rows } = await rowsOf(databaseUrl, name)
    bench.progress(`  a pool of free addresses, ${cidr}: ${rows} rows, ${bytes} bytes`)
    return bytes
  }
  let pools = 0
  const found: number[] = []
  for (const [few, many] of PAIRS) {
    const bytes = await stored(few.cidr)
    found.push(((await stored(many.cidr)) - bytes) / (2 ** many.bits - 2 ** few.bits))
  }
  return found
}

/** What stands anywhere for a pool that nobody has an address of. */
async function rowsOf(databaseUrl: string, pool: string): Promise<{ bytes: number; rows: number }> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query(
      `select sum(bytes)::integer as bytes, count(*)::integer as rows from (
        select pg_column_size(p) as bytes from pools p where name = $1
        union all select pg_column_size(f) from free_ranges f join pools p on p.id = f.pool_id where p.name = $1
        union all select pg_column_size(r) from reservations r join pools p on p.id = r.pool_id where p.name = $1
        union all select pg_column_size(a) from allocations a join pools p on p.id = a.pool_id where p.name = $1
        union all select pg_column_size(h) from audit h where h.pool = $1
      ) stored`,
      [pool],
    )
    return rows[0]
  })
}

async function sizesOf(databaseUrl: string): Promise<Sizes> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ name: string; bytes: number }>(
      `select relname || ' table' as name, pg_table_size(oid)::float8 as bytes from pg_class
         where relkind = 'r' and relnamespace = current_schema::regnamespace
       union all
       select t.relname || ' ' || i.relname, pg_relation_size(i.oid)::float8 from pg_index x
         join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
         where t.relnamespace = current_schema::regnamespace
       order by 1`,
    )
    return new Map(rows.map(({ name, bytes }) => [name, bytes]))
  })
}

async function call(url: string, token: string, path: string, body: object): Promise<Response> {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${await answer.text()}`)
  return answer
}

function shuffled(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, number) => number)
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[numbers[last], numbers[other]] = [numbers[other]!, numbers[last]!]
  }
  return numbers
}
