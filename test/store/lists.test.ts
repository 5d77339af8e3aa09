import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import t from 'tap'
import { listAllocations } from '../../src/store/allocations.js'
import type { Executor } from '../../src/store/database.js'
import { listNodes, type NodeFilter } from '../../src/store/nodes.js'
import { openTestDatabase } from '../support/database.js'

// Lists among thirty thousand nodes: that they are right, and that they read what they show and not the whole table.

const NODES = 30_000
const LIMIT = 100

const db = await openTestDatabase(t, 1)
await sql
  .raw(`
    insert into pools (name, cidr, held) values ('first', '10.0.0.0/16', ${NODES}), ('second', '10.1.0.0/16', 0);
    insert into nodes (name, display_ip, last_address)
    select 'edge-' || lpad(i::text, 5, '0'),
      case when i < 20000 then '192.168.' || i / 250 || '.' || i % 250 when i < 29000 then '172.16.0.1' end,
      '10.0.0.0'::inet + i
    from generate_series(0, ${NODES - 1}) i;
    insert into nodes (name, display_ip) values ('site-192.168.3.77', null), ('zulu.v6', '2001:db8::7'),
      ('zulu.other', '1.192.168.3'), ('zulu.third', '3.192.168.3');
    insert into allocations (address, pool_id, node_name, sequence, allocated_at)
    select last_address, 1, name, row_number() over (), now() from nodes where last_address is not null;
    insert into allocations (address, pool_id, node_name, sequence, allocated_at)
    values ('10.1.0.9', 2, 'zulu.v6', 99999, now())`)
  .execute(db)
await sql`
  update allocations set state = 'quarantined', quarantined_until = now() + interval '1 hour' where node_name = 'edge-00009'`.execute(
  db,
)
await sql`vacuum analyze`.execute(db)

/** What statements read of nodes and allocations: rows, and entries of indexes. */
async function rowsRead(db: Executor, what: () => Promise<unknown>): Promise<number> {
  const count = async () => {
    // A backend tells its counts at the end of a transaction, but not more often than once a second.
    await sql`select pg_stat_clear_snapshot()`.execute(db)
    await sql`select pg_stat_force_next_flush()`.execute(db)
    const { rows } = await sql<{ read: number }>`
      select sum(seq_tup_read)::integer + (
        select sum(idx_tup_read)::integer from pg_stat_user_indexes where relname in ('nodes', 'allocations')
      ) as read
      from pg_stat_user_tables where relname in ('nodes', 'allocations')`.execute(db)
    return rows[0]!.read
  }
  const before = await count()
  await what()
  return (await count()) - before
}

async function everyName(filter: NodeFilter, limit: number): Promise<string[]> {
  const names: string[] = []
  for (let after: string | null = null; ; after = names.at(-1)!) {
    const rows = await listNodes(db, filter, { limit, after })
    names.push(...rows.map((row) => row.name))
    if (rows.length < limit) return names
  }
}

t.test(
  'a search finds every node that has the part in its name or display IP, in order, on pages of any size',
  async (t) => {
    const { rows: all } = await sql<{ name: string; display_ip: string | null }>`
    select name, display_ip from nodes order by name`.execute(db)
    const parts = [
      'edge-',
      '00007',
      '-2999',
      '9',
      'zz',
      'ZULU',
      '',
      'nobody',
      '192.168.3.77',
      '168.3.7',
      '192.168.3',
      '8.3',
      '.3.7',
    ]
    parts.push(
      '172.16.0.1',
      '2.16.',
      '2001:db8',
      '::7',
      '10.0.0.7',
      '1.2.3.4.5',
      '192.168',
      '300.1.1',
      '%',
      '_',
      'edge_0',
      '\\',
      'é',
      'u.v',
    )
    for (const search of parts) {
      const part = search.toLowerCase()
      const expected = all
        .filter((row) => row.name.includes(part) || row.display_ip?.includes(part))
        .map((row) => row.name)
      t.strictSame(await everyName({ search }, 7_001), expected, `${search}: ${expected.length}`)
      if (expected.length < 1_000) t.strictSame(await everyName({ search }, 99), expected, `${search}, in small pages`)
    }
  },
)

t.test('a search can be narrowed by the other filters', async (t) => {
  t.strictSame(await everyName({ search: 'edge-0000', state: 'registered' }, 5), [])
  t.equal((await everyName({ search: 'edge-0000', state: 'allocated' }, 5)).length, 9, 'one of ten is released')
  t.equal((await everyName({ search: 'edge-', state: 'allocated' }, 5_000)).length, NODES - 1)
  t.strictSame(await everyName({ search: 'edge-', uniqueIp: '10.0.0.7' }, 5), ['edge-00007'])
  t.strictSame(await everyName({ search: 'edge-1', displayIp: '192.168.3.77' }, 5), [])
})

t.test('a page costs what it shows, however deep it is', async (t) => {
  const bound = 5 * (LIMIT + 10)
  const nodes = (filter: NodeFilter, after: string | null) => () => listNodes(db, filter, { limit: LIMIT, after })
  for (const after of [null, 'edge-28000']) {
    for (const filter of [
      {},
      { state: 'allocated' as const },
      { displayIp: '192.168.3.77' },
      { uniqueIp: '10.0.0.7' },
    ]) {
      const read = await rowsRead(db, nodes(filter, after))
      t.ok(read > 0 || after !== null, 'something is counted')
      t.ok(read <= bound, `${JSON.stringify(filter)} after ${after}: ${read}`)
    }
  }
  const allocations = (filter: object, after: string | null) => () =>
    listAllocations(db, filter, { limit: LIMIT, after })
  for (const after of [null, '10.0.110.0']) {
    for (const filter of [
      {},
      { pool: 'first' },
      { pool: 'second' },
      { state: 'allocated' },
      { nodeName: 'edge-00009' },
      { nodeName: 'edge-00008' },
      { displayIp: '192.168.3.77' },
      { cidr: '10.0.100.0/24' },
    ]) {
      const read = await rowsRead(db, allocations(filter, after))
      t.ok(read <= bound, `${JSON.stringify(filter)} after ${after}: ${read}`)
    }
  }
})

t.test('a search for an address reads those that have it, and one that many have reads a bounded part', async (t) => {
  const search = (part: string, after: string | null) => () => listNodes(db, { search: part }, { limit: LIMIT, after })
  for (const after of [null, 'edge-00500']) {
    for (const part of ['192.168.3.77', '192.168.3.', '68.3.7', '10.99.99.99', '1.2.3.4.5']) {
      const read = await rowsRead(db, search(part, after))
      t.ok(read <= 2_000, `${part} after ${after}: ${read}`)
    }
    const read = await rowsRead(db, search('edge-', after))
    t.ok(read <= 10_000 + 10 * LIMIT, `what all have, after ${after}: ${read}`)
  }
  t.equal(await rowsRead(db, search('%', null)), 0, 'what nobody can have')
})

t.test('allocations are listed by what their nodes are called and shown as', async (t) => {
  const addresses = async (filter: Parameters<typeof listAllocations>[1], after: string | null = null) =>
    (await listAllocations(db, filter, { limit: LIMIT, after })).map((row) => row.address)
  t.strictSame(await addresses({ nodeName: 'edge-00009' }), ['10.0.0.9'], 'what it had')
  t.strictSame(await addresses({ nodeName: 'edge-00008' }), ['10.0.0.8'], 'what it has')
  t.strictSame(await addresses({ displayIp: '192.168.0.9' }), ['10.0.0.9'])
  t.strictSame(await addresses({ displayIp: '192.168.0.8', pool: 'second' }), [])
  t.strictSame(await addresses({ displayIp: '172.16.0.1' }, '10.0.113.70'), ['10.0.113.71'], 'the last of many')
  t.strictSame(await addresses({ pool: 'second' }), ['10.1.0.9'])
  t.strictSame(await addresses({ pool: 'third' }), [])
})

const { rows: trigrams } = await sql`select from pg_available_extensions where name = 'pg_trgm'`.execute(db)
const skip = trigrams.length === 0 && 'this PostgreSQL has no pg_trgm'

t.test('with the index of docs/operating.md a search for part of a name reads what has it', { skip }, async (t) => {
  const text = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
  const statements = /```sql\n(create extension [^;]*pg_trgm;)\n(create index [^;]*;)\n```/i.exec(text)?.slice(1) ?? []
  t.equal(statements.length, 2)
  for (const statement of statements) await sql.raw(statement).execute(db)
  for (const part of ['e-07777', 'nobody', 'ulu']) {
    const read = await rowsRead(db, () => listNodes(db, { search: part }, { limit: LIMIT, after: null }))
    t.ok(read <= 100, `${part}: ${read}`)
  }
  t.strictSame(await everyName({ search: '-07777' }, 5), ['edge-07777'])
})
