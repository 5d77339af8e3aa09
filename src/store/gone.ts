import { sql } from 'kysely'
import type { Gone } from '../core/reclaim.js'
import type { Executor } from './database.js'

/**
 * Who holds an address, is registered or was in the cluster since it was given it, and was missing at the last look. What
 * was seen before that is of an earlier time of the node: it has yet to join again.
 */
export async function goneNodes(db: Executor): Promise<Gone[]> {
  const { rows } = await sql<Gone>`
    select a.node_name as "nodeName", host(a.address) as address, a.sequence, a.state, p.name as pool,
      (extract(epoch from clock_timestamp() - greatest(s.absent_since, a.allocated_at, a.registered_at)) * 1000)::double precision as "absentFor", s.absences
    from sightings s
    join allocations a on a.node_name = s.name and a.state <> 'quarantined'
    join pools p on p.id = a.pool_id
    where s.absences > 0 and (a.state = 'registered' or s.last_seen >= a.allocated_at)
    order by a.node_name`.execute(db)
  return rows
}

/** Who was given an address so long ago (s), and was not registered or seen in the cluster since. */
export async function neverJoined(db: Executor, seconds: number): Promise<Gone[]> {
  const { rows } = await sql<Gone>`
    select a.node_name as "nodeName", host(a.address) as address, a.sequence, a.state, p.name as pool,
      (extract(epoch from clock_timestamp() - a.allocated_at) * 1000)::double precision as "absentFor", 0 as absences
    from allocations a
    join pools p on p.id = a.pool_id
    left join sightings s on s.name = a.node_name
    where a.state = 'allocated' and a.allocated_at < clock_timestamp() - make_interval(secs => ${seconds})
      and (s.name is null or s.absences > 0 and coalesce(s.last_seen < a.allocated_at, true))
    order by a.node_name`.execute(db)
  return rows
}

/** What these nodes hold; who holds nothing is missing. */
export async function holdingsAmong(
  db: Executor,
  names: readonly string[],
): Promise<{ nodeName: string; address: string; pool: string }[]> {
  const { rows } = await sql<{ nodeName: string; address: string; pool: string }>`
    select a.node_name as "nodeName", host(a.address) as address, p.name as pool
    from allocations a join pools p on p.id = a.pool_id
    where a.node_name = any (${names}::text[]) and a.state <> 'quarantined'`.execute(db)
  return rows
}

/** How many addresses the nodes of each pool hold. */
export async function heldByPool(db: Executor): Promise<Map<string, number>> {
  const { rows } = await sql<{ pool: string; held: number }>`
    select p.name as pool, count(*) as held from allocations a join pools p on p.id = a.pool_id
    where a.state <> 'quarantined' group by p.name`.execute(db)
  return new Map(rows.map(({ pool, held }) => [pool, Number(held)]))
}
