import { sql } from 'kysely'
import type { Executor } from './database.js'

export interface NetworkRow {
  kind: string
  cidr: string
  description: string | null
}

export function listNetworks(db: Executor): Promise<NetworkRow[]> {
  return db.selectFrom('networks').select(['kind', 'cidr', 'description']).orderBy('cidr').orderBy('kind').execute()
}

/** Two who replace them wait for each other. */
export async function lockNetworks(db: Executor): Promise<void> {
  await sql`lock table networks in share row exclusive mode`.execute(db)
}

/** All of them, in the place of those there were. They are locked. */
export async function replaceNetworks(db: Executor, networks: readonly NetworkRow[]): Promise<void> {
  await db.deleteFrom('networks').execute()
  if (networks.length > 0)
    await db
      .insertInto('networks')
      .values([...networks])
      .execute()
}

export function networkThatOverlaps(db: Executor, cidr: string): Promise<NetworkRow | undefined> {
  return db
    .selectFrom('networks')
    .select(['kind', 'cidr', 'description'])
    .where(sql<boolean>`cidr && ${cidr}::cidr`)
    .orderBy('cidr')
    .executeTakeFirst()
}

/** Whether an address lies in a network in which only containers have addresses, declared or discovered. */
export async function isOfContainers(db: Executor, address: string): Promise<boolean> {
  const { rows } = await sql`
    select from networks where kind in ('docker', 'pod') and cidr >>= ${address}::inet
    union all
    select from discovered_networks where kind = 'pod' and cidr >>= ${address}::inet
    limit 1`.execute(db)
  return rows.length > 0
}

/** A network that the cluster told of. */
export interface DiscoveredRow {
  kind: string
  cidr: string
  source: string
}

export function listDiscovered(db: Executor): Promise<DiscoveredRow[]> {
  return db
    .selectFrom('discovered_networks')
    .select(['kind', 'cidr', 'source'])
    .orderBy('cidr')
    .orderBy('kind')
    .orderBy('source')
    .execute()
}

/** Keeps these, and no others; nothing is written where these are those that there are. */
export async function replaceDiscovered(db: Executor, rows: readonly DiscoveredRow[]): Promise<void> {
  await sql`
    with now as materialized (
      select kind, cidr, source from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) x (kind text, cidr cidr, source text)
    ), gone as (
      delete from discovered_networks d
      where not exists (select from now where (now.kind, now.cidr, now.source) = (d.kind, d.cidr, d.source))
    )
    insert into discovered_networks (kind, cidr, source)
    select distinct kind, cidr, source from now
    where not exists (
      select from discovered_networks d where (now.kind, now.cidr, now.source) = (d.kind, d.cidr, d.source)
    )`.execute(db)
}
