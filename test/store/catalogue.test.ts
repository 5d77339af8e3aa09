import { sql } from 'kysely'
import t from 'tap'
import type { Executor } from '../../src/store/database.js'
import { openTestDatabase } from '../support/database.js'

// What allocation.md promises "because the database says so" is looked up here in the database, and tried: no
// migration can weaken a guarantee without failing a test that says which.

async function refuses(db: Executor, statement: string): Promise<string> {
  try {
    await sql.raw(statement).execute(db)
    return 'done'
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** Two pools, and a node that holds 10.0.0.1. */
async function prepare(db: Executor): Promise<void> {
  await sql
    .raw(`
      insert into pools (name, cidr) values ('a', '10.0.0.0/24'), ('b', '10.0.1.0/24');
      insert into allocations (address, pool_id, node_name, sequence, allocated_at)
      values ('10.0.0.1', 1, 'edge-1', 1, now())`)
    .execute(db)
}

t.test('the constraints stand in the catalogue, valid and not deferrable', async (t) => {
  const db = await openTestDatabase(t)
  const { rows } = await sql<{ name: string; definition: string; valid: boolean; deferrable: boolean }>`
    select k.conname as name, pg_get_constraintdef(k.oid) as definition, k.convalidated as valid,
      k.condeferrable as deferrable
    from pg_constraint k where k.connamespace = 'public'::regnamespace`.execute(db)
  const needed: Record<string, string> = {
    allocations_pkey: 'PRIMARY KEY (address)',
    nodes_pkey: 'PRIMARY KEY (name)',
    pools_name_key: 'UNIQUE (name)',
    pools_do_not_overlap: 'EXCLUDE USING gist (cidr inet_ops WITH &&)',
    reservations_do_not_overlap: "EXCLUDE USING gist (address_range(first_address, last_address, '[]'::text) WITH &&)",
    tokens_digest_key: 'UNIQUE (digest)',
  }
  for (const [name, definition] of Object.entries(needed)) {
    const found = rows.find((row) => row.name === name)
    t.strictSame(found, { name, definition, valid: true, deferrable: false })
  }
  const { rows: indexes } = await sql<{ definition: string; valid: boolean }>`
    select pg_get_indexdef(indexrelid) as definition, indisvalid and indisunique as valid
    from pg_index where indexrelid = 'allocations_one_per_node'::regclass`.execute(db)
  t.strictSame(indexes, [
    {
      definition:
        "CREATE UNIQUE INDEX allocations_one_per_node ON public.allocations USING btree (node_name) WHERE (state <> 'quarantined'::allocation_state)",
      valid: true,
    },
  ])
})

t.test('what must never be is refused', async (t) => {
  const db = await openTestDatabase(t)
  await prepare(db)
  const insert = (address: string, node: string, more = '') =>
    `insert into allocations (address, pool_id, node_name, sequence, allocated_at${more && ', state, quarantined_until'})
     values ('${address}', 1, '${node}', 2, now()${more})`
  const finding = `insert into findings (kind, subject_kind, subject_name, message) values ('node_gone', 'Node', 'n', '')`
  const cases: [string, string, string][] = [
    ['two holders of one address', insert('10.0.0.1', 'edge-2'), '23505'],
    ['a second address for a node', insert('10.0.0.2', 'edge-1'), '23505'],
    ['a network in the place of an address', insert('10.0.0.0/30', 'edge-2'), '23514'],
    ['an allocation that begins in quarantine', insert('10.0.0.3', 'edge-3', `, 'quarantined', now()`), '23514'],
    ['a quarantine without an end', `update allocations set state = 'quarantined'`, '23514'],
    ['an end without a quarantine', `update allocations set quarantined_until = now()`, '23514'],
    ['registered without a time', `update allocations set state = 'registered'`, '23514'],
    ['freeing what is in use', `delete from allocations where address = '10.0.0.1'`, '23514'],
    ['an allocation that changes hands', `update allocations set node_name = 'edge-9'`, '23514'],
    ['an allocation that changes its address', `update allocations set address = '10.0.0.9'`, '23514'],
    ['an overlapping pool', `insert into pools (name, cidr) values ('c', '10.0.0.128/25')`, '23P01'],
    ['two pools of one name', `insert into pools (name, cidr) values ('a', '10.9.0.0/24')`, '23505'],
    ['deleting a pool that is in use', `delete from pools where name = 'a'`, '23503'],
    ['two open findings of one kind about one thing', `${finding}; ${finding}`, '23505'],
    ['a finding that is over and was never seen', `${finding}; update findings set resolved_at = now()`, '23514'],
    [
      'a node that is missing, and in no look',
      `insert into sightings (name, absent_since) values ('n', now())`,
      '23514',
    ],
    ['a second last look', `insert into cluster_look values (true, now()), (true, now())`, '23505'],
    [
      'a quarantine without end',
      `insert into pools (name, cidr, quarantine_seconds) values ('c', '10.9.0.0/24', -1)`,
      '23514',
    ],
  ]
  for (const [what, statement, code] of cases) t.equal(await refuses(db, statement), code, what)
})

t.test('only the legal moves are made, and nobody leaves quarantine early', async (t) => {
  const db = await openTestDatabase(t)
  await prepare(db)
  const register = `update allocations set state = 'registered', registered_at = now()`
  const quarantine = (until: string) =>
    `update allocations set state = 'quarantined', quarantined_until = clock_timestamp() + interval '${until}'`
  t.equal(await refuses(db, register), 'done', 'allocated → registered')
  t.equal(await refuses(db, `update allocations set state = 'allocated'`), '23514', 'registered → allocated')
  t.equal(await refuses(db, quarantine('1 hour')), 'done', 'registered → quarantined')
  t.equal(await refuses(db, `${register}, quarantined_until = null`), '23514', 'quarantined → registered')
  t.equal(await refuses(db, 'delete from allocations'), '23514', 'quarantined → free, too early')
  t.equal(
    await refuses(db, `update allocations set state = 'allocated', quarantined_until = null`),
    'done',
    'quarantined → allocated',
  )
  t.equal(await refuses(db, quarantine('0')), 'done', 'allocated → quarantined')
  t.equal(await refuses(db, 'delete from allocations'), 'done', 'quarantined → free, in time')
})

t.test('the audit trail is append-only, by the database itself', async (t) => {
  const db = await openTestDatabase(t)
  await sql.raw(`insert into audit (at, action, actor) values (now(), 'pool.created', 'system')`).execute(db)
  t.equal(await refuses(db, `update audit set actor = 'nobody'`), '23001')
  t.equal(await refuses(db, 'delete from audit'), '23001')
  t.equal(await refuses(db, 'delete from audit where false'), '23001')
  t.equal(await refuses(db, 'truncate audit'), '23001')
  const { rows } = await sql`select from audit`.execute(db)
  t.equal(rows.length, 1)
})
