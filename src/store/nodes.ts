import { sql } from 'kysely'
import type { NodeState } from '../core/lifecycle.js'
import type { Executor } from './database.js'
import type { Labels } from './schema.js'

/** A node and what it holds; the latter is null where it holds nothing. */
export interface NodeRow {
  name: string
  display_ip: string | null
  node_uid: string | null
  reported_ip: string | null
  labels: Labels | null
  revision: number
  created_at: Date
  updated_at: Date
  address: string | null
  pool: string | null
  state: NodeState | null
  sequence: number | null
  registered_at: Date | null
}

function nodes(db: Executor) {
  return db
    .selectFrom('nodes as n')
    .leftJoin('allocations as a', (join) => join.onRef('a.node_name', '=', 'n.name').on('a.state', '<>', 'quarantined'))
    .leftJoin('pools as p', 'p.id', 'a.pool_id')
    .select([
      'n.name',
      'n.display_ip',
      'n.node_uid',
      'n.reported_ip',
      'n.labels',
      'n.revision',
      'n.created_at',
      'n.updated_at',
      sql<string | null>`host(a.address)`.as('address'),
      'p.name as pool',
      sql<NodeState | null>`a.state`.as('state'),
      'a.sequence',
      'a.registered_at',
    ])
}

export interface NodeFilter {
  /** Part of the name or of the display IP, whatever the case. Never of a unique IP: a hit would tell it. */
  search?: string
  displayIp?: string
  uniqueIp?: string
  state?: NodeState
  label?: { key: string; value: string }
}

/** A page of nodes, by name. */
export function listNodes(
  db: Executor,
  filter: NodeFilter,
  page: { limit: number; after: string | null },
): Promise<NodeRow[]> {
  let query = nodes(db).orderBy('n.name').limit(page.limit)
  if (filter.search !== undefined) {
    const part = `%${filter.search.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
    query = query.where((where) => where.or([where('n.name', 'like', part), where('n.display_ip', 'like', part)]))
  }
  if (filter.displayIp !== undefined) query = query.where('n.display_ip', '=', filter.displayIp)
  if (filter.uniqueIp !== undefined) query = query.where(sql<boolean>`a.address = ${filter.uniqueIp}::inet`)
  if (filter.state !== undefined) query = query.where('a.state', '=', filter.state)
  if (filter.label !== undefined) {
    query = query.where(sql<boolean>`n.labels ->> ${filter.label.key}::text = ${filter.label.value}::text`)
  }
  if (page.after !== null) query = query.where('n.name', '>', page.after)
  return query.execute()
}

export function findNode(db: Executor, name: string): Promise<NodeRow | undefined> {
  return nodes(db).where('n.name', '=', name).executeTakeFirst()
}

/** Locks a node's row until the transaction ends; undefined if there is none. */
export async function lockNode(
  db: Executor,
  name: string,
): Promise<{ labels: Labels | null; reported_ip: string | null } | undefined> {
  return db
    .selectFrom('nodes')
    .select(['labels', 'reported_ip'])
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
}

/** What callers say of a node: an absent key leaves, null clears. Changes are audited by the database. */
export interface NodeChange {
  displayIp?: string | null
  nodeUid?: string | null
  labels?: Labels | null
}

export async function updateNode(
  db: Executor,
  name: string,
  change: NodeChange,
  by: { actor: string; requestId: string },
): Promise<void> {
  await sql`
    select update_node(
      (0, ${name}::text, null, null, ${JSON.stringify(change)}::jsonb, ${by.actor}::text, ${by.requestId}::text, null)
        ::allocation_request,
      clock_timestamp()
    )`.execute(db)
}

export async function setReportedIp(db: Executor, name: string, reportedIp: string | null): Promise<void> {
  await db.updateTable('nodes').set({ reported_ip: reportedIp }).where('name', '=', name).execute()
}

export async function deleteNode(db: Executor, name: string): Promise<void> {
  await db.deleteFrom('nodes').where('name', '=', name).execute()
}
