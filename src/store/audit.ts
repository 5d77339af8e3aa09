import { sql } from 'kysely'
import type { TimelineRow } from '../core/timeline.js'
import type { Executor } from './database.js'
import type { AuditAction } from './schema.js'

export interface AuditEntry {
  action: AuditAction
  actor: string
  requestId: string | null
  nodeName?: string
  address?: string
  pool?: string
  before?: Record<string, unknown>
  after?: Record<string, unknown>
}

/** Writes one row, in the transaction of the change that it tells of. Times are the database's. */
export async function writeAudit(db: Executor, entry: AuditEntry): Promise<void> {
  await db
    .insertInto('audit')
    .values({
      at: sql<Date>`clock_timestamp()`,
      action: entry.action,
      actor: entry.actor,
      request_id: entry.requestId,
      node_name: entry.nodeName ?? null,
      address: entry.address ?? null,
      pool: entry.pool ?? null,
      before: entry.before ? JSON.stringify(entry.before) : null,
      after: entry.after ? JSON.stringify(entry.after) : null,
    })
    .execute()
}

export interface AuditFilter {
  nodeName?: string
  address?: string
  action?: AuditAction
  actor?: string
  since?: Date
  until?: Date
}

/** A page of the trail, newest first. */
export function listAudit(db: Executor, filter: AuditFilter, page: { limit: number; before: number | null }) {
  let query = db
    .selectFrom('audit')
    .select([
      'id',
      'at',
      'action',
      'actor',
      'request_id',
      'node_name',
      sql<string | null>`host(address)`.as('address'),
      'pool',
      'before',
      'after',
    ])
    .orderBy('id', 'desc')
    .limit(page.limit)
  if (filter.nodeName !== undefined) query = query.where('node_name', '=', filter.nodeName)
  if (filter.address !== undefined) query = query.where(sql<boolean>`audit.address = ${filter.address}::inet`)
  if (filter.action !== undefined) query = query.where('action', '=', filter.action)
  if (filter.actor !== undefined) query = query.where('actor', '=', filter.actor)
  if (filter.since !== undefined) query = query.where('at', '>=', filter.since)
  if (filter.until !== undefined) query = query.where('at', '<', filter.until)
  if (page.before !== null) query = query.where('id', '<', page.before)
  return query.execute()
}

/**
 * What happened to an address up to an instant, oldest first, from the last time it was handed out. Instants on the wire
 * have milliseconds, the database's microseconds: an instant that was answered includes what it tells of.
 */
export async function timelineOf(db: Executor, address: string, until: Date): Promise<TimelineRow[]> {
  const rows = await sql<TimelineRow>`
    select at, action, node_name as "nodeName", pool, before, after
    from audit
    where address = ${address}::inet and date_trunc('milliseconds', at) <= ${until}
      and id >= coalesce((
        select max(id) from audit
        where address = ${address}::inet and action = 'allocation.created' and date_trunc('milliseconds', at) <= ${until}
      ), 0)
    order by id`.execute(db)
  return rows.rows
}

/** The pool that the address lies in, or the one it lay in last; undefined: none ever. */
export async function poolOfAddress(db: Executor, address: string): Promise<string | undefined> {
  const result = await sql<{ pool: string | null }>`
    select coalesce(
      (select name from pools where cidr >>= ${address}::inet),
      (select pool from audit where address = ${address}::inet and pool is not null order by id desc limit 1)
    ) as pool`.execute(db)
  return result.rows[0]?.pool ?? undefined
}

/** The database's clock. */
export async function databaseTime(db: Executor): Promise<Date> {
  return (await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db)).rows[0]!.now
}

/** The id of the last row that is so old (ms) at least; 0 where there is none. */
export async function auditIdBefore(db: Executor, ms: number): Promise<number> {
  const row = await db
    .selectFrom('audit')
    .select('id')
    .where('at', '<', sql<Date>`clock_timestamp() - make_interval(secs => ${ms / 1000})`)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.id ?? 0
}

/** Which nodes the rows after this id are about, the oldest first. */
export function nodesChangedAfter(
  db: Executor,
  id: number,
  limit: number,
): Promise<{ id: number; node_name: string | null }[]> {
  return db.selectFrom('audit').select(['id', 'node_name']).where('id', '>', id).orderBy('id').limit(limit).execute()
}

/** So many of the last rows are looked at: those of transactions that ended late come before rows with greater ids. */
const TAIL = 500

/** Another text whenever the trail has another row. */
export async function auditTail(db: Executor): Promise<string> {
  const result = await sql<{ tail: string }>`
    select concat_ws('/', min(id), max(id), count(*)) as tail
    from (select id from audit order by id desc limit ${TAIL}) last`.execute(db)
  return result.rows[0]!.tail
}
