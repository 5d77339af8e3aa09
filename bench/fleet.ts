import type pg from 'pg'
import { withClient } from './servers/postgres.js'

// What the benchmark knows of the database, beside the answers of the service, is in this file.

/** As many as PostgreSQL takes in one statement without anybody waiting long. */
const CHUNK = 1_000

/**
 * Gives `count` nodes an address, names as load/requests.lua makes them, by the engine's own function: the quickest way to a
 * fleet. With `registered` they have a nodeUid, which is their name, and are registered already. `nodesPerDisplayIp` says how
 * many have the same display IP; default: all.
 */
export async function makeFleet(
  client: pg.Client,
  {
    prefix,
    count,
    registered = false,
    nodesPerDisplayIp = count,
  }: { prefix: string; count: number; registered?: boolean; nodesPerDisplayIp?: number },
): Promise<void> {
  for (let first = 0; first < count; first += CHUNK) {
    const { rows } = await client.query(
      `select count(*) filter (where code = 'created')::integer as made from allocate_together((
        select jsonb_agg(jsonb_build_object('ord', i - $2::integer + 1, 'node_name', name, 'actor', 'system',
          'patch', jsonb_build_object('displayIp', host('192.168.1.10'::inet + i % $5::integer)) ||
            case when $4 then jsonb_build_object('nodeUid', name) else '{}' end))
        from generate_series($2::integer, $3::integer) i, lateral (select $1::text || lpad(i::text, 8, '0')) named (name)))`,
      [prefix, first, Math.min(first + CHUNK, count) - 1, registered, Math.ceil(count / nodesPerDisplayIp)],
    )
    const wanted = Math.min(CHUNK, count - first)
    if (rows[0].made !== wanted) throw new Error(`of ${wanted} prepared nodes ${rows[0].made} got an address`)
  }
  if (registered) {
    await client.query(
      `update allocations set state = 'registered', registered_at = clock_timestamp()
      where state = 'allocated' and node_name like $1`,
      [`${prefix}%`],
    )
  }
}

/**
 * Makes so many addresses of the only pool free, in one of two ways: nodes that are picked at random lose theirs, without a
 * quarantine, or new nodes of the prefix take what is too much.
 */
export async function setPoolTo(
  client: pg.Client,
  { free, ...fleet }: { free: number; prefix: string; nodesPerDisplayIp?: number },
): Promise<{ used: number; capacity: number }> {
  const { rows } = await client.query<{ id: number; held: number; capacity: number }>(
    // Network and broadcast address are not handed out.
    'select id, held::integer, (2 ^ (32 - masklen(cidr)))::integer - 2 as capacity from pools',
  )
  const { id, held, capacity } = rows[0]!
  const wanted = Math.max(0, capacity - free)
  if (held < wanted) await makeFleet(client, { ...fleet, count: wanted - held })
  if (held > wanted) {
    await client.query(
      `update allocations set state = 'quarantined', quarantined_until = clock_timestamp() where address in (
        select address from allocations where state <> 'quarantined' order by random() limit $1)`,
      [held - wanted],
    )
    await client.query(`select sweep_pool($1, $2, 'system', null, true)`, [id, held - wanted])
  }
  return { used: wanted, capacity }
}

/** Writes so many rows into the audit trail, which know no node, in two connections: two cores are enough for it. */
export async function makeHistory(databaseUrl: string, rows: number): Promise<void> {
  const WRITERS = 2
  await Promise.all(
    Array.from({ length: WRITERS }, (_, writer) =>
      withClient(databaseUrl, async (client) => {
        await client.query('set synchronous_commit = off')
        for (let first = writer * HISTORY_CHUNK; first < rows; first += WRITERS * HISTORY_CHUNK) {
          await client.query(
            `insert into audit (at, action, actor, request_id, node_name, address, pool, after)
            select clock_timestamp(), 'allocation.created', 'admin:bootstrap', 'bench-' || i, 'old-' || lpad(i::text, 8, '0'),
              '30.0.0.0'::inet + i, 'default', jsonb_build_object('sequence', i, 'displayIp', '192.168.1.10')
            from generate_series($1::integer, $2::integer) i`,
            [first, Math.min(first + HISTORY_CHUNK, rows) - 1],
          )
        }
      }),
    ),
  )
}

const HISTORY_CHUNK = 250_000

/** What the database holds of the nodes whose names begin with the prefix. */
export interface Holdings {
  rows: number
  addresses: number
  names: number
  quarantined: number
  audited_created: number
  audited_released: number
  audited: number
}

export async function countHoldings(client: pg.Client, prefix: string): Promise<Holdings> {
  // One statement, one snapshot: the service may still be committing what nobody waits for any more.
  const { rows } = await client.query<Holdings>(
    `select a.*, u.* from (
      select count(*)::integer as rows, count(distinct address)::integer as addresses,
        count(distinct node_name)::integer as names,
        count(*) filter (where state = 'quarantined')::integer as quarantined
      from allocations where node_name like $1
    ) a, (
      select count(*)::integer as audited,
        count(*) filter (where action = 'allocation.created')::integer as audited_created,
        count(*) filter (where action = 'allocation.released')::integer as audited_released
      from audit where node_name like $1
    ) u`,
    [`${prefix}%`],
  )
  return rows[0]!
}

/** Whether every pool's count is what its rows add up to. */
export async function checkSums(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; held: string; rows: string }>(
    `select name, held, (select count(*) from allocations where pool_id = id) as rows from pools`,
  )
  return rows
    .filter((row) => row.held !== row.rows)
    .map((row) => `pool ${row.name} counts ${row.held} addresses, and has ${row.rows}`)
}
