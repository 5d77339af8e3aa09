import { type AliasableExpression, type Selectable, sql } from 'kysely'
import { beginningsOf, isPartOfIPv4 } from '../core/address-part.js'
import type { NodeState } from '../core/lifecycle.js'
import type { Executor } from './database.js'
import type { Labels, NodesTable } from './schema.js'

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

/** What is picked, with what it holds: that is looked up for each, so nothing is read of what others hold. */
function shown(db: Executor, picked: AliasableExpression<Selectable<NodesTable>>) {
  return db
    .selectFrom(picked.as('n'))
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('allocations as h')
          .selectAll('h')
          .whereRef('h.node_name', '=', 'n.name')
          .where('h.state', '<>', 'quarantined')
          .limit(1)
          .as('a'),
      (join) => join.onTrue(),
    )
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
    .orderBy('n.name')
}

export interface NodeFilter {
  /** Part of the name or of the display IP, whatever the case. Never of a unique IP: a hit would tell it. */
  search?: string
  displayIp?: string
  uniqueIp?: string
  state?: NodeState
  label?: { key: string; value: string }
}

export interface NodePage {
  limit: number
  /** The last name of the page before. */
  after: string | null
}

/** A page of nodes, by name: of what stands before it nothing is read. */
export async function listNodes(db: Executor, filter: NodeFilter, page: NodePage): Promise<NodeRow[]> {
  const part = filter.search?.toLowerCase()
  if (part === undefined) return shown(db, pick(db, filter, page)).execute()
  if (!CHARACTERS.test(part)) return []
  const few = sql<boolean>`(select count(*) from found) <= ${MANY}`
  const sorted = pick(db, filter, page).where(few).where(sql<boolean>`n.name = any (array(select name from found))`)
  const walked = pick(db, filter, page).where(sql<boolean>`not ${few}`).where(among(part))
  const picked = db
    .with(
      (cte) => cte('found').materialized(),
      () => found(part, page),
    )
    .selectFrom(sorted.as('sorted'))
    .selectAll()
    .unionAll(db.selectFrom(walked.as('walked')).selectAll())
  return shown(db, picked).limit(page.limit).execute()
}

/**
 * Where a search finds more nodes than this, names are walked in their order until the page is full; else all that it finds
 * are sorted. That is not left to the planner: it guesses how many names have a part in them, and where it is wrong it walks
 * a million names to the one that has it, or sorts a million of them for each page.
 */
const MANY = 10_000

/**
 * The names that a search finds, in no order, some of them twice, and not more than a few too many. Part of an IPv4 address
 * is looked up as a beginning of display IPs, and in the few names that could have it; for any other all names are read,
 * unless the database has an index for that (docs/operating.md).
 */
function found(part: string, page: NodePage) {
  const beginnings = isPartOfIPv4(part) ? beginningsOf(part) : undefined
  const after = page.after ?? ''
  if (beginnings === undefined) {
    return sql<{
      name: string
    }>`(select n.name from nodes n where ${has(part)} and n.name > ${after} limit ${MANY + 1})`
  }
  return sql<{ name: string }>`(
    (select name from nodes where name ~ '[0-9][.][0-9]' and name like ${`%${part}%`} and name > ${after}
      limit ${MANY + 1})
    union all
    (select n.name from unnest(${beginnings}::text[]) beginning, lateral (
      select name from nodes
      where display_ip ~>=~ beginning and display_ip ~<~ (beginning || ':') and name > ${after} limit ${MANY + 1}
    ) n limit ${MANY + 1})
  )`
}

function has(part: string) {
  return sql<boolean>`(n.name like ${`%${part}%`} or n.display_ip like ${`%${part}%`})`
}

/** The same, for where many have it. Of this condition the planner assumes so, and walks; of `like` it may believe otherwise. */
function among(part: string) {
  return sql<boolean>`(strpos(n.name, ${part}) > 0 or strpos(n.display_ip, ${part}) > 0)`
}

/** What a name or an address can have in it. There is no wildcard of `like` among it. */
const CHARACTERS = /^[0-9a-z.:-]*$/

/** A page of the nodes that the filter lets pass, whatever is searched for. */
function pick(db: Executor, filter: NodeFilter, page: NodePage) {
  let query = db
    .selectFrom('nodes as n')
    .selectAll('n')
    .where('n.name', '>', page.after ?? '')
    .orderBy('n.name')
    .limit(page.limit)
  if (filter.displayIp !== undefined) query = query.where('n.display_ip', '=', filter.displayIp)
  if (filter.label !== undefined) {
    query = query.where(sql<boolean>`n.labels ->> ${filter.label.key}::text = ${filter.label.value}::text`)
  }
  if (filter.uniqueIp !== undefined || filter.state !== undefined) {
    let holders = db
      .selectFrom('allocations as a')
      .select('a.node_name')
      .where('a.state', '<>', 'quarantined')
      // The planner does not conclude this from the node's name, and would read all holders before the page.
      .where('a.node_name', '>', page.after ?? '')
    if (filter.uniqueIp !== undefined) holders = holders.where(sql<boolean>`a.address = ${filter.uniqueIp}::inet`)
    if (filter.state !== undefined) holders = holders.where('a.state', '=', filter.state)
    query = query.where('n.name', 'in', holders)
  }
  return query
}

export function findNode(db: Executor, name: string): Promise<NodeRow | undefined> {
  return shown(db, db.selectFrom('nodes').selectAll().where('name', '=', name)).executeTakeFirst()
}

/** Locks a node's row until the transaction ends; undefined if there is none. */
export async function lockNode(
  db: Executor,
  name: string,
): Promise<Pick<NodeRow, 'labels' | 'display_ip' | 'reported_ip'> | undefined> {
  return db
    .selectFrom('nodes')
    .select(['labels', 'display_ip', 'reported_ip'])
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
