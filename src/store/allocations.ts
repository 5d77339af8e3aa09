import { type AliasableExpression, type Selectable, sql } from 'kysely'
import type { AllocationState, NodeState } from '../core/lifecycle.js'
import { type Executor, prepared } from './database.js'
import type { AllocationsTable, Labels } from './schema.js'

/** One caller's wish, as the engine of migrations/0005 takes it. */
export interface AllocationRequest {
  nodeName: string
  pool: string | null
  address: string | null
  /** What the caller said of the node: an absent key leaves what is stored, null clears it. */
  patch: { displayIp?: string | null; nodeUid?: string | null; labels?: Labels | null }
  actor: string
  requestId: string
  /** The caller's token, where its uses are counted. */
  limitedToken: string | null
}

/** What a node holds. */
export interface HeldRow {
  node_name: string
  address: string
  pool: string
  state: AllocationState
  sequence: number
  display_ip: string | null
  node_uid: string | null
  labels: Labels | null
  allocated_at: Date
  registered_at: Date | null
}

export interface AllocationRow extends HeldRow {
  quarantined_until: Date | null
}

/** An outcome: 'created', 'existing', or why not; the rest says what the node holds now, if anything. */
export type AllocationOutcome = { code: string } & (Omit<HeldRow, 'node_name'> | { address: null; pool: null })

const allocateTogether = prepared<AllocationOutcome & { ord: number }>(
  'allocate',
  'select * from allocate_together($1::jsonb)',
)

/**
 * Serves the requests in one transaction and one round trip; the answers come in their order.
 * Each node name once. Names, addresses and pools are as the wire had them, already checked.
 */
export async function allocateBatch(
  db: Executor,
  requests: readonly AllocationRequest[],
): Promise<AllocationOutcome[]> {
  const wire = requests.map((request, index) => ({
    ord: index + 1,
    node_name: request.nodeName,
    pool: request.pool,
    address: request.address,
    patch: request.patch,
    actor: request.actor,
    request_id: request.requestId,
    limited_token: request.limitedToken,
  }))
  const rows = await allocateTogether(db, JSON.stringify(wire))
  const outcomes = new Array<AllocationOutcome>(requests.length)
  for (const row of rows) outcomes[row.ord - 1] = row
  return outcomes
}

/** What a node holds, as far as cloudcore's questions need it. */
export interface Holding {
  node_name: string
  address: string
  sequence: number
  state: NodeState
  node_uid: string | null
  reported_ip: string | null
}

/** What these nodes hold; who holds nothing is missing. Each name once. */
export const holdings: (db: Executor, names: readonly string[]) => Promise<Holding[]> = prepared(
  'holdings',
  'select * from holdings($1::text[])',
)

/** Whether an address of the range is not free, or has a row that nobody swept yet. */
export async function anyWithin(db: Executor, first: string, last: string): Promise<boolean> {
  const row = await db
    .selectFrom('allocations')
    .select('node_name')
    .where(sql<boolean>`address between ${first}::inet and ${last}::inet`)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

export interface AllocationFilter {
  pool?: string
  state?: AllocationState
  nodeName?: string
  displayIp?: string
  cidr?: string
  address?: string
}

export interface AllocationPage {
  limit: number
  /** The last address of the page before. */
  after: string | null
}

/** A page of what is not free, by address: of what stands before it nothing is read. */
export function listAllocations(
  db: Executor,
  filter: AllocationFilter,
  page: AllocationPage,
): Promise<AllocationRow[]> {
  const { displayIp } = filter
  // What has one address, or one node, is found by that.
  if (displayIp === undefined) return shown(db, pick(db, filter, page)).execute()
  const few = sql<boolean>`(select count(*) from found) <= ${MANY}`
  const sorted = pick(db, filter, page)
    .where(few)
    .where(sql<boolean>`
    a.address = any (array(
      select address from allocations where node_name = any (array(select name from found)) and state <> 'quarantined'
      union all
      select address from allocations where node_name = any (array(select name from found)) and state = 'quarantined'
    ))`)
  const walked = pick(db, filter, page)
    .where(sql<boolean>`not ${few}`)
    .where(sql<boolean>`
    (select n.display_ip from nodes n where n.name = a.node_name) = ${displayIp}`)
  const picked = db
    .with(
      (cte) => cte('found').materialized(),
      () =>
        db
          .selectFrom('nodes')
          .select('name')
          .where('display_ip', '=', displayIp)
          .limit(MANY + 1),
    )
    .selectFrom(sorted.as('sorted'))
    .selectAll()
    .unionAll(db.selectFrom(walked.as('walked')).selectAll())
  return shown(db, picked).limit(page.limit).execute()
}

/**
 * Where more nodes than this have a display IP, addresses are walked in their order until the page is full; else all that
 * these nodes have are sorted. So neither a display IP that few have nor one that all have costs a million rows.
 */
const MANY = 10_000

/** A page of what the filter lets pass, whatever the display IP. */
function pick(db: Executor, filter: AllocationFilter, page: AllocationPage) {
  let query = db
    .selectFrom('allocations as a')
    .selectAll('a')
    .where(sql<boolean>`(a.state <> 'quarantined' or not quarantine_over(a.quarantined_until, now()))`)
    .orderBy('a.address')
    .limit(page.limit)
  if (filter.pool !== undefined) {
    // Addresses of one pool lie side by side; from its id alone those of all pools before it would be read.
    query = query.where(sql<boolean>`
      a.address >= (select network(cidr) from pools where name = ${filter.pool})
      and a.address <= (select host(broadcast(cidr))::inet from pools where name = ${filter.pool})`)
  }
  if (filter.state !== undefined) query = query.where('a.state', '=', filter.state)
  if (filter.nodeName !== undefined) {
    // Two indexes hold a node's addresses, what it has and what it had: each has to be asked by its own condition.
    query = query.where(sql<boolean>`(
      a.node_name = ${filter.nodeName} and a.state <> 'quarantined'
      or a.node_name = ${filter.nodeName} and a.state = 'quarantined')`)
  }
  if (filter.cidr !== undefined) query = query.where(sql<boolean>`a.address <<= ${filter.cidr}::cidr`)
  if (filter.address !== undefined) query = query.where(sql<boolean>`a.address = ${filter.address}::inet`)
  if (page.after !== null) query = query.where(sql<boolean>`a.address > ${page.after}::inet`)
  return query
}

/** What is picked, with what is known of its node: that is looked up for each. */
function shown(db: Executor, picked: AliasableExpression<Selectable<AllocationsTable>>) {
  return db
    .selectFrom(picked.as('a'))
    .innerJoin('pools as p', 'p.id', 'a.pool_id')
    .leftJoinLateral(
      (eb) => eb.selectFrom('nodes').selectAll().whereRef('name', '=', 'a.node_name').limit(1).as('n'),
      (join) => join.onTrue(),
    )
    .select([
      sql<string>`host(a.address)`.as('address'),
      'a.node_name',
      'p.name as pool',
      'a.state',
      'a.sequence',
      'n.display_ip',
      'n.node_uid',
      'n.labels',
      'a.allocated_at',
      'a.registered_at',
      'a.quarantined_until',
    ])
    .orderBy('a.address')
}

/** What a node holds, locked until the transaction ends. */
export interface LockedAllocation {
  address: string
  pool_id: number
  state: NodeState
  sequence: number
}

export function lockAllocationOf(db: Executor, nodeName: string): Promise<LockedAllocation | undefined> {
  return db
    .selectFrom('allocations')
    .select([sql<string>`host(address)`.as('address'), 'pool_id', sql<NodeState>`state`.as('state'), 'sequence'])
    .where('node_name', '=', nodeName)
    .where('state', '<>', 'quarantined')
    .forUpdate()
    .executeTakeFirst()
}

export async function markRegistered(db: Executor, address: string): Promise<void> {
  await sql`
    update allocations set state = 'registered', registered_at = clock_timestamp()
    where address = ${address}::inet and state = 'allocated'`.execute(db)
}

/** Frees up to `wanted` addresses whose quarantine is over; with `patient`, waits for a pool that is busy. */
export async function sweepPool(
  db: Executor,
  poolId: number,
  wanted: number,
  by: { actor: string; requestId: string | null; patient: boolean },
): Promise<number> {
  const result = await sql<{ freed: number }>`
    select sweep_pool(${poolId}::integer, ${wanted}::integer, ${by.actor}::text, ${by.requestId}::text, ${by.patient})
      as freed`.execute(db)
  return result.rows[0]?.freed ?? 0
}
