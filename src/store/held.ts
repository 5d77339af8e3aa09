import { sql } from 'kysely'
import type { Held, Holding } from '../core/pictures.js'
import type { Executor } from './database.js'

/** Every address that a node holds now. */
export async function allHeld(db: Executor): Promise<Held[]> {
  const { rows } = await sql<Held>`
    select a.node_name as "nodeName", host(a.address) as "uniqueIp", a.state, n.display_ip as "displayIp", n.node_uid as "nodeUid",
      (extract(epoch from clock_timestamp() - case a.state when 'registered' then a.registered_at else a.allocated_at end) * 1000)
        ::double precision as age
    from allocations a left join nodes n on n.name = a.node_name where a.state <> 'quarantined'`.execute(db)
  return rows
}

/** Every pool's name and CIDR. */
export function allCidrs(db: Executor): Promise<{ name: string; cidr: string }[]> {
  return db.selectFrom('pools').select(['name', 'cidr']).execute()
}

/** Who was given any of these addresses, ever, and for how long. Canonical. */
export async function everHeld(db: Executor, addresses: readonly string[]): Promise<Holding[]> {
  const { rows } = await sql<Holding>`
    select host(address) as address, node_name as "nodeName", "from", until from (
      select address, node_name, action, (extract(epoch from at) * 1000)::double precision as "from",
        (extract(epoch from lead(at) over (partition by address order by id)) * 1000)::double precision as until
      from audit
      where address = any (${addresses}::inet[]) and action in ('allocation.created', 'allocation.released')
    ) holdings
    where action = 'allocation.created' and node_name is not null`.execute(db)
  return rows
}
