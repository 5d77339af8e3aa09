import { type Selectable, sql } from 'kysely'
import type { Finding, FindingKind } from '../core/finding.js'
import type { Executor } from './database.js'
import type { FindingsTable } from './schema.js'

/** A finding as it is kept. Of an open one `last_seen` is the last look at the cluster. */
export type FindingRow = Selectable<FindingsTable>

export interface FindingFilter {
  kind?: FindingKind
  nodeName?: string
  resolved: boolean
}

/** A page of findings, in the order in which they were found. */
export function listFindings(
  db: Executor,
  filter: FindingFilter,
  page: { limit: number; after: number | null },
): Promise<FindingRow[]> {
  let query = db
    .selectFrom('findings')
    .select([
      'id',
      'kind',
      'subject_kind',
      'subject_namespace',
      'subject_name',
      'message',
      'since',
      sql<Date>`coalesce(last_seen, greatest(since, (select at from cluster_look)))`.as('last_seen'),
      'resolved_at',
    ])
    .where('resolved_at', filter.resolved ? 'is not' : 'is', null)
    .orderBy('id')
    .limit(page.limit)
  if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind)
  if (filter.nodeName !== undefined) {
    query = query.where('subject_kind', '=', sql.lit('Node')).where('subject_name', '=', filter.nodeName)
  }
  if (page.after !== null) query = query.where('id', '>', page.after)
  return query.execute()
}

/** How many are open, by kind; a kind of which none is open is missing. */
export function countOpenFindings(db: Executor): Promise<{ kind: FindingKind; count: number }[]> {
  return db
    .selectFrom('findings')
    .select(['kind', sql<number>`count(*)`.as('count')])
    .where('resolved_at', 'is', null)
    .groupBy('kind')
    .execute()
}

/** The list as a table. Materialized: it is read from JSON once, and hashed. */
function found(findings: readonly Finding[]) {
  const list = findings.map(({ kind, subject, message }) => ({
    kind,
    subject_kind: subject.kind,
    subject_namespace: subject.namespace,
    subject_name: subject.name,
    message,
  }))
  return sql`found as materialized (
    select * from jsonb_to_recordset(${JSON.stringify(list)}::jsonb) x (
      kind finding_kind, subject_kind text, subject_namespace text, subject_name text collate "C", message text
    )
  )`
}

const isFound = sql`(f.kind, f.subject_kind, f.subject_namespace, f.subject_name)
  = (x.kind, x.subject_kind, x.subject_namespace, x.subject_name)`

/** Gives those that are open the words of this list. Rows whose words are the same are not written. */
export async function rewordFindings(db: Executor, findings: readonly Finding[]): Promise<void> {
  await sql`
    with ${found(findings)}
    update findings f set message = x.message from found x
    where ${isFound} and f.resolved_at is null and f.message <> x.message`.execute(db)
}

/** Opens those of the list that are not open yet; each key is in the list once. @returns the ids of the new ones */
export async function raiseFindings(db: Executor, findings: readonly Finding[]): Promise<FindingRow[]> {
  const { rows } = await sql<FindingRow>`
    with ${found(findings)}
    insert into findings (kind, subject_kind, subject_namespace, subject_name, message)
    select x.kind, x.subject_kind, x.subject_namespace, x.subject_name, x.message from found x
    where not exists (select from findings f where ${isFound} and f.resolved_at is null)
    order by x.kind, x.subject_kind, x.subject_namespace, x.subject_name
    on conflict do nothing
    returning *`.execute(db)
  return rows
}

/** Closes those that are open and not in the list. @returns them */
export async function resolveOthers(db: Executor, findings: readonly Finding[]): Promise<FindingRow[]> {
  const { rows } = await sql<FindingRow>`
    with ${found(findings)}
    update findings f
    set resolved_at = clock_timestamp(), last_seen = greatest(f.since, (select at from cluster_look))
    where f.resolved_at is null and not exists (select from found x where ${isFound})
    returning f.*`.execute(db)
  return rows
}

/** Notes that the cluster was looked at now; not more often than once in ten seconds, so that a busy look costs no more. */
export async function noteLook(db: Executor): Promise<void> {
  await sql`
    insert into cluster_look (at) values (clock_timestamp())
    on conflict (one) do update set at = excluded.at
    where cluster_look.at < excluded.at - interval '10 seconds' or cluster_look.at > excluded.at`.execute(db)
}

/** When the cluster was last looked at; undefined where it never was. */
export async function lastLook(db: Executor): Promise<Date | undefined> {
  return (await db.selectFrom('cluster_look').select('at').executeTakeFirst())?.at
}

/** Forgets what was over so many days ago: a part of it, since nobody waits for it. */
export async function forgetFindings(db: Executor, days: number): Promise<void> {
  await sql`
    delete from findings where id in (
      select id from findings where resolved_at < clock_timestamp() - make_interval(days => ${days}) limit 1000
    )`.execute(db)
}
