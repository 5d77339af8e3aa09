import { sql } from 'kysely'
import { type ReaddressState, UNSEEN_SECONDS } from '../core/readdress.js'
import type { Executor } from './database.js'

/** The runs that have not ended, the oldest first. */
export async function runsUnderWay(db: Executor): Promise<string[]> {
  const rows = await db
    .selectFrom('readdress_runs')
    .select('id')
    .where('ended_at', 'is', null)
    .orderBy('number')
    .execute()
  return rows.map(({ id }) => id)
}

export interface LockedRun {
  state: ReaddressState
  stopped_by: string | null
  at_once: number
  stop_after_failures: number
  waiting: number
  running: number
  failed: number
}

/** Locks a run until the transaction ends, and counts its nodes; undefined: it has ended. */
export async function lockRun(db: Executor, id: string): Promise<LockedRun | undefined> {
  const run = await db
    .selectFrom('readdress_runs')
    .select(['state', 'stopped_by', 'at_once', 'stop_after_failures'])
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!run) return undefined
  // A statement of its own: it sees what whoever had the lock before has done.
  const counts = await sql<{ waiting: number; running: number; failed: number }>`
    select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'running') as running,
      count(*) filter (where state = 'failed') as failed
    from readdress_nodes where run_id = ${id}`.execute(db)
  return { ...run, ...counts.rows[0]! }
}

/** The next nodes of a run have their turn, with what they hold now. The run is locked. */
export async function beginNext(db: Executor, id: string, howMany: number): Promise<void> {
  await sql`
    update readdress_nodes n
    set state = 'running', started_at = clock_timestamp(),
      unique_ip = coalesce(
        (select address from allocations a where a.node_name = n.node_name and a.state <> 'quarantined'), n.unique_ip)
    where run_id = ${id} and position in (
      select position from readdress_nodes where run_id = ${id} and state = 'waiting' order by position limit ${howMany}
    )`.execute(db)
}

export async function endRun(db: Executor, id: string, state: 'stopped' | 'done' | 'failed'): Promise<void> {
  await db
    .updateTable('readdress_runs')
    .set({ state, ended_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', id)
    .execute()
}

export interface UnderWayRow {
  run_id: string
  position: number
  node_name: string
  unique_ip: string
  /** What it holds now. */
  held: string | null
  timeout_seconds: number
  job_made: boolean
  reports_unique: boolean
  settled: boolean
  late: boolean
  /** What kept it from going on when it was last looked at. */
  message: string | null
  /** As long as may be, in all. */
  unseen_for_long: boolean
  /** When this was so. */
  read_at: Date
}

/** Every node that has its turn. */
export async function nodesUnderWay(db: Executor): Promise<UnderWayRow[]> {
  const rows = await sql<UnderWayRow>`
    select n.run_id, n.position, n.node_name, host(n.unique_ip) as unique_ip, host(a.address) as held, r.timeout_seconds,
      n.job_made_at is not null as job_made, n.reported_since is not null as reports_unique,
      coalesce(n.reported_since + make_interval(secs => r.settle_seconds) <= clock_timestamp(), false) as settled,
      coalesce(n.job_made_at + make_interval(secs => r.timeout_seconds) <= clock_timestamp(), false) as late,
      n.message,
      n.unseen + coalesce(clock_timestamp() - n.trouble_since, '0') >= make_interval(secs => ${UNSEEN_SECONDS})
        as unseen_for_long,
      clock_timestamp() as read_at
    from readdress_nodes n
    join readdress_runs r on r.id = n.run_id
    left join allocations a on a.node_name = n.node_name and a.state <> 'quarantined'
    where n.state = 'running'
    order by r.number, n.position`.execute(db)
  return rows.rows
}

export type Key = Pick<UnderWayRow, 'run_id' | 'position'>

function underWay(db: Executor, { run_id, position }: Key) {
  return db
    .updateTable('readdress_nodes')
    .where('run_id', '=', run_id)
    .where('position', '=', position)
    .where('state', '=', 'running')
}

export async function noteJob(db: Executor, key: Key): Promise<void> {
  const job_made_at = sql<Date>`coalesce(job_made_at, clock_timestamp())`
  await underWay(db, key).set({ job_made_at }).execute()
}

export async function noteReport(db: Executor, key: Key, reportsUnique: boolean): Promise<void> {
  const reported_since = reportsUnique ? sql<Date>`coalesce(reported_since, clock_timestamp())` : null
  await underWay(db, key).set({ reported_since }).execute()
}

/** The cluster answers again: while it did not, no time passed for the node, and nobody knows what it reported. */
export async function noteAnswer(db: Executor, key: Key): Promise<void> {
  const unseen = sql`(clock_timestamp() - trouble_since)`
  await underWay(db, key)
    .set({
      message: null,
      trouble_since: null,
      unseen: sql<string>`unseen + ${unseen}`,
      job_made_at: sql<Date>`job_made_at + ${unseen}`,
      reported_since: null,
    })
    .where('trouble_since', 'is not', null)
    .execute()
}

/** What keeps it from going on, for people. Nothing was seen of it from the time on when the row was read. */
export async function noteTrouble(db: Executor, row: Key & { read_at: Date }, message: string): Promise<void> {
  const trouble_since = sql<Date>`coalesce(trouble_since, ${row.read_at})`
  await underWay(db, row).set({ message, trouble_since }).execute()
}

/** Its turn is over. Says nothing to one whose turn is over already. */
export async function endNode(
  db: Executor,
  key: Key,
  end: { state: 'done' | 'skipped' | 'failed'; message: string; jobKept: boolean },
): Promise<boolean> {
  const { state, message, jobKept } = end
  const result = await underWay(db, key)
    .set({ state, message, job_kept: jobKept, ended_at: sql<Date>`clock_timestamp()` })
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** The jobs of a node's earlier turns that were kept. */
export function keptJobs(db: Executor, nodeName: string): Promise<Key[]> {
  return db
    .selectFrom('readdress_nodes')
    .select(['run_id', 'position'])
    .where('node_name', '=', nodeName)
    .where('job_kept', '=', true)
    .execute()
}

/** The jobs that were kept and are of no use any more: the node does not hold the address that they set, or reports it. */
export async function uselessJobs(db: Executor): Promise<Key[]> {
  const rows = await sql<Key>`
    select n.run_id, n.position from readdress_nodes n
    where n.job_kept and (n.state in ('done', 'skipped') or not exists (
      select from allocations a
      where a.node_name = n.node_name and a.state <> 'quarantined' and a.address = n.unique_ip))`.execute(db)
  return rows.rows
}

export async function forgetJob(db: Executor, { run_id, position }: Key): Promise<void> {
  await db
    .updateTable('readdress_nodes')
    .set({ job_kept: false })
    .where('run_id', '=', run_id)
    .where('position', '=', position)
    .execute()
}
