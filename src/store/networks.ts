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
