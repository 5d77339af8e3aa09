import { sql } from 'kysely'
import type { Executor } from './database.js'
import type { ReservationRow } from './reservations.js'
import type { PoolState } from './schema.js'

export interface PoolRow {
  id: number
  name: string
  cidr: string
  state: PoolState
  priority: number
  node_selector: Record<string, string> | null
  quarantine_seconds: number
  description: string | null
  revision: number
  created_at: Date
  updated_at: Date
  /** Addresses that a node holds. */
  allocated: number
  /** Addresses in quarantine that no reservation covers. */
  quarantined: number
  /** By address; in the same statement, for utilisation adds up at one instant only. */
  reservations: ReservationRow[]
}

/**
 * Pools with what their utilisation is computed from, in one statement and so at one instant. `held` counts every row
 * of allocations, so what is allocated is that less the quarantined: the cost does not grow with what is allocated.
 */
function pools(db: Executor) {
  return db.selectFrom('pools as p').select([
    'p.id',
    'p.name',
    'p.cidr',
    'p.state',
    'p.priority',
    'p.node_selector',
    'p.quarantine_seconds',
    'p.description',
    'p.revision',
    'p.created_at',
    'p.updated_at',
    sql<number>`p.held - (
        select count(*) from allocations a where a.pool_id = p.id and a.state = 'quarantined'
      )`.as('allocated'),
    sql<number>`(
        select count(*) from allocations a
        where a.pool_id = p.id and a.state = 'quarantined' and not quarantine_over(a.quarantined_until, now())
          and not is_reserved(p.id, a.address)
      )`.as('quarantined'),
    sql<ReservationRow[]>`(
        select coalesce(json_agg(json_build_object('id', r.id, 'start', host(r.first_address),
          'end', host(r.last_address), 'reason', r.reason, 'created_at', r.created_at) order by r.first_address), '[]')
        from reservations r where r.pool_id = p.id
      )`.as('reservations'),
  ])
}

export function findPool(db: Executor, name: string): Promise<PoolRow | undefined> {
  return pools(db).where('p.name', '=', name).executeTakeFirst()
}

export function listPools(db: Executor, page: { limit: number; after: string | null }): Promise<PoolRow[]> {
  let query = pools(db).orderBy('p.name').limit(page.limit)
  if (page.after !== null) query = query.where('p.name', '>', page.after)
  return query.execute()
}

export async function anyPool(db: Executor): Promise<boolean> {
  return (await db.selectFrom('pools').select('id').limit(1).executeTakeFirst()) !== undefined
}

export function poolByName(db: Executor, name: string): Promise<{ id: number; cidr: string } | undefined> {
  return db.selectFrom('pools').select(['id', 'cidr']).where('name', '=', name).executeTakeFirst()
}

export function poolStateOf(db: Executor, id: number): Promise<{ name: string; state: PoolState }> {
  return db.selectFrom('pools').select(['name', 'state']).where('id', '=', id).executeTakeFirstOrThrow()
}

/** A pool that the CIDR overlaps, but for the one that is called `except`. */
export function poolThatOverlaps(
  db: Executor,
  cidr: string,
  except = '',
): Promise<{ name: string; cidr: string } | undefined> {
  return db
    .selectFrom('pools')
    .select(['name', 'cidr'])
    .where(sql<boolean>`cidr && ${cidr}::cidr`)
    .where('name', '<>', except)
    .orderBy('name')
    .executeTakeFirst()
}

/** Keeps allocation out of the pool until the transaction ends. */
export async function lockPool(
  db: Executor,
  name: string,
): Promise<{ id: number; cidr: string; revision: number } | undefined> {
  return db
    .selectFrom('pools')
    .select(['id', 'cidr', 'revision'])
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
}

export async function insertPool(
  db: Executor,
  pool: {
    name: string
    cidr: string
    state: PoolState
    priority: number
    nodeSelector: Record<string, string> | null
    quarantineSeconds: number
    description: string | null
    usable: { first: string; last: string }
  },
): Promise<number> {
  const { id } = await db
    .insertInto('pools')
    .values({
      name: pool.name,
      cidr: pool.cidr,
      state: pool.state,
      priority: pool.priority,
      node_selector: pool.nodeSelector && JSON.stringify(pool.nodeSelector),
      quarantine_seconds: pool.quarantineSeconds,
      description: pool.description,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('free_ranges')
    .values({ pool_id: id, first_address: pool.usable.first, last_address: pool.usable.last })
    .execute()
  return id
}

/** Stores what is given of a pool's settings; a null clears. */
export async function updatePool(
  db: Executor,
  id: number,
  change: {
    state?: PoolState
    priority?: number
    nodeSelector?: Record<string, string> | null
    quarantineSeconds?: number
    description?: string | null
  },
): Promise<void> {
  const { state, priority, nodeSelector, quarantineSeconds, description } = change
  const columns = {
    ...(state !== undefined && { state }),
    ...(priority !== undefined && { priority }),
    ...(nodeSelector !== undefined && { node_selector: nodeSelector && JSON.stringify(nodeSelector) }),
    ...(quarantineSeconds !== undefined && { quarantine_seconds: quarantineSeconds }),
    ...(description !== undefined && { description }),
  }
  if (Object.keys(columns).length > 0) await db.updateTable('pools').set(columns).where('id', '=', id).execute()
}

/** Notes that a pool was changed. @returns its new revision */
export async function touchPool(db: Executor, id: number): Promise<number> {
  const { revision } = await db
    .updateTable('pools')
    .set({ revision: sql<number>`revision + 1`, updated_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', id)
    .returning('revision')
    .executeTakeFirstOrThrow()
  return revision
}

/**
 * Gives a pool a larger CIDR, and the addresses it gains (less what was reserved at its old edges) to the free ones.
 * Those that it loses to its new edges are free, and are taken out of them.
 */
export async function growPool(
  db: Executor,
  id: number,
  cidr: string,
  { gained, lost }: Record<'gained' | 'lost', readonly { first: string; last: string }[]>,
): Promise<void> {
  await db.updateTable('pools').set({ cidr }).where('id', '=', id).execute()
  for (const { first, last } of gained) {
    await sql`select restore_free(${id}, ${first}::inet, ${last}::inet)`.execute(db)
  }
  for (const { first, last } of lost) {
    await sql`select withdraw_free(${id}, ${first}::inet, ${last}::inet)`.execute(db)
  }
  await sql`select withdraw_free(pool_id, first_address, last_address) from reservations where pool_id = ${id}`.execute(
    db,
  )
}

export async function deletePool(db: Executor, id: number): Promise<void> {
  await db.deleteFrom('pools').where('id', '=', id).execute()
}

/** How many addresses of the pool nodes hold, and how many are in quarantine still. */
export async function countBusy(db: Executor, poolId: number): Promise<number> {
  const row = await db
    .selectFrom('allocations')
    .select(sql<number>`count(*)`.as('busy'))
    .where('pool_id', '=', poolId)
    .where(sql<boolean>`(state <> 'quarantined' or not quarantine_over(quarantined_until, clock_timestamp()))`)
    .executeTakeFirstOrThrow()
  return row.busy
}

/** Pools with an address whose quarantine is over. */
export function poolsToSweep(db: Executor): Promise<{ id: number }[]> {
  return db
    .selectFrom('pools as p')
    .select('p.id')
    .where(
      sql<boolean>`exists (
        select from allocations a
        where a.pool_id = p.id and a.state = 'quarantined' and quarantine_over(a.quarantined_until, now())
      )`,
    )
    .execute()
}
