import type pg from 'pg'

/** As many as PostgreSQL takes in one statement without anybody waiting long. */
const CHUNK = 1_000

/**
 * Gives `count` nodes an address, names as load/requests.lua makes them, by the engine's own function: the quickest way to a
 * fleet. With `registered` they have a nodeUid, which is their name, and are registered already.
 */
export async function makeFleet(
  client: pg.Client,
  { prefix, count, registered = false }: { prefix: string; count: number; registered?: boolean },
): Promise<void> {
  for (let first = 0; first < count; first += CHUNK) {
    const { rows } = await client.query(
      `select count(*) filter (where code = 'created')::integer as made from allocate_together((
        select jsonb_agg(jsonb_build_object('ord', i - $2::integer + 1, 'node_name', name, 'actor', 'system',
          'patch', jsonb_build_object('displayIp', '192.168.1.10') ||
            case when $4 then jsonb_build_object('nodeUid', name) else '{}' end))
        from generate_series($2::integer, $3::integer) i, lateral (select $1::text || lpad(i::text, 8, '0')) named (name)))`,
      [prefix, first, Math.min(first + CHUNK, count) - 1, registered],
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
