import { sql } from 'kysely'
import type { ReaddressNodeState, ReaddressState } from '../core/readdress.js'
import type { Executor } from './database.js'

export type Counts = Record<ReaddressNodeState, number>

export interface RunRow {
  id: string
  number: number
  state: ReaddressState
  actor: string
  request_id: string | null
  at_once: number
  stop_after_failures: number
  timeout_seconds: number
  settle_seconds: number
  stopped_by: string | null
  created_at: Date
  ended_at: Date | null
  /** States that no node is in are missing. */
  counts: Partial<Counts> | null
}

export interface NewRun {
  id: string
  actor: string
  requestId: string
  atOnce: number
  stopAfterFailures: number
  timeoutSeconds: number
  settleSeconds: number
}

/** What a node has to report, and what it reports now. */
export interface NewRunNode {
  nodeName: string
  uniqueIp: string
  reportedIp: string | null
}

/** Stores a run; its nodes take their turns in this order. One that is in another run already is a unique violation. */
export async function insertRun(db: Executor, run: NewRun, nodes: readonly NewRunNode[]): Promise<void> {
  await db
    .insertInto('readdress_runs')
    .values({
      id: run.id,
      actor: run.actor,
      request_id: run.requestId,
      at_once: run.atOnce,
      stop_after_failures: run.stopAfterFailures,
      timeout_seconds: run.timeoutSeconds,
      settle_seconds: run.settleSeconds,
    })
    .execute()
  await sql`
    insert into readdress_nodes (run_id, position, node_name, unique_ip, reported_ip)
    select ${run.id}::text, position, node_name, unique_ip::inet, reported_ip::inet
    from unnest(
      ${nodes.map((node) => node.nodeName)}::text[],
      ${nodes.map((node) => node.uniqueIp)}::text[],
      ${nodes.map((node) => node.reportedIp)}::text[]
    ) with ordinality as n (node_name, unique_ip, reported_ip, position)`.execute(db)
}

function runs(db: Executor) {
  return db
    .selectFrom('readdress_runs as r')
    .selectAll('r')
    .select(
      sql<Partial<Counts> | null>`(
        select jsonb_object_agg(state, number)
        from (select state, count(*) as number from readdress_nodes where run_id = r.id group by state) counted
      )`.as('counts'),
    )
}

export function findRun(db: Executor, id: string): Promise<RunRow | undefined> {
  return runs(db).where('r.id', '=', id).executeTakeFirst()
}

/** A page of runs, newest first. */
export function listRuns(db: Executor, page: { limit: number; before: number | null }): Promise<RunRow[]> {
  let query = runs(db).orderBy('r.number', 'desc').limit(page.limit)
  if (page.before !== null) query = query.where('r.number', '<', page.before)
  return query.execute()
}

export interface RunNodeRow {
  position: number
  node_name: string
  unique_ip: string
  reported_ip: string | null
  state: ReaddressNodeState
  message: string | null
  job_kept: boolean
  started_at: Date | null
  ended_at: Date | null
}

/** A page of a run's nodes, by their turns. */
export function listRunNodes(
  db: Executor,
  runId: string,
  filter: { state?: ReaddressNodeState },
  page: { limit: number; after: number | null },
): Promise<RunNodeRow[]> {
  let query = db
    .selectFrom('readdress_nodes')
    .select([
      'position',
      'node_name',
      sql<string>`host(unique_ip)`.as('unique_ip'),
      sql<string | null>`host(reported_ip)`.as('reported_ip'),
      'state',
      'message',
      'job_kept',
      'started_at',
      'ended_at',
    ])
    .where('run_id', '=', runId)
    .where('position', '>', page.after ?? 0)
    .orderBy('position')
    .limit(page.limit)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state)
  return query.execute()
}

/** Which run each of these nodes is in now; who is in none is missing. The newest run last. */
export function runsOf(db: Executor, names: readonly string[]): Promise<{ node_name: string; run_id: string }[]> {
  return db
    .selectFrom('readdress_nodes as n')
    .innerJoin('readdress_runs as r', 'r.id', 'n.run_id')
    .select(['n.node_name', 'n.run_id'])
    .where('n.state', 'in', ['waiting', 'running'])
    .where(sql<boolean>`n.node_name = any (${names}::text[])`)
    .orderBy('r.number')
    .execute()
}

/** Those who hold a unique IP and have all of these labels. */
export async function holdersWithLabels(db: Executor, labels: Record<string, string>): Promise<string[]> {
  const rows = await sql<{ name: string }>`
    select n.name from nodes n join allocations a on a.node_name = n.name and a.state <> 'quarantined'
    where n.labels @> ${JSON.stringify(labels)}::jsonb`.execute(db)
  return rows.rows.map(({ name }) => name)
}

/** Has a run begin with no more nodes. Says nothing to one that has ended or stops already. */
export async function stopRun(db: Executor, id: string, stoppedBy: string | null, message: string): Promise<void> {
  await db
    .updateTable('readdress_runs')
    .set({ state: 'stopping', stopped_by: stoppedBy })
    .where('id', '=', id)
    .where('state', '=', 'running')
    .execute()
  await db
    .updateTable('readdress_nodes')
    .set({ state: 'stopped', message, ended_at: sql<Date>`clock_timestamp()` })
    .where('run_id', '=', id)
    .where('state', '=', 'waiting')
    .execute()
}

/**
 * Gives up those of a run's nodes that have their turn and of which nothing can be seen now. Their jobs may be there.
 * @param whyAll what keeps all of them unseen, whether a look has met it or not
 */
export async function endUnseen(db: Executor, id: string, message: string, whyAll: string | undefined): Promise<void> {
  await sql`
    update readdress_nodes
    set state = 'failed', message = concat_ws(' ', ${message}::text, coalesce(${whyAll ?? null}::text, message)),
      job_kept = true, ended_at = clock_timestamp()
    where run_id = ${id} and state = 'running' and (trouble_since is not null or ${whyAll !== undefined})`.execute(db)
}
