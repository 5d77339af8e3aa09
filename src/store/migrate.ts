import { readdir, readFile } from 'node:fs/promises'
import { type Kysely, type Migration, Migrator, sql } from 'kysely'
import type { Database } from './schema.js'

const folder = new URL('../../migrations/', import.meta.url)

/** The names of the migrations that this code brings, in order. */
export async function knownMigrations(): Promise<string[]> {
  const files = await readdir(folder)
  return files
    .filter((name) => name.endsWith('.sql'))
    .map((name) => name.slice(0, -4))
    .sort()
}

async function loadMigrations(): Promise<Record<string, Migration>> {
  const migrations: Record<string, Migration> = {}
  for (const name of await knownMigrations()) {
    const text = await readFile(new URL(`${name}.sql`, folder), 'utf8')
    // Forward only: a change that was wrong is mended by the next migration, for its data may be in use already.
    migrations[name] = {
      up: (db) =>
        sql
          .raw(text)
          .execute(db)
          .then(() => undefined),
    }
  }
  return migrations
}

/** The migrations that the database has had, in order; none if it is empty. */
export async function appliedMigrations(db: Kysely<Database>): Promise<string[]> {
  const table = await sql<{ found: boolean }>`select to_regclass('kysely_migration') is not null as found`.execute(db)
  if (!table.rows[0]?.found) return []
  const rows = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
  return rows.rows.map((row) => row.name)
}

/** The database is newer than this code: going on could undo what newer code relies on. */
export class NewerDatabase extends Error {}

/**
 * Brings the database to the version that this code needs. Several processes may do so at once: one does the work
 * while the others wait for its lock (Kysely's, a row or advisory lock), all in one transaction.
 * @returns the names of the migrations that were applied now
 * @throws NewerDatabase
 */
export async function migrate(db: Kysely<Database>): Promise<string[]> {
  const migrations = await loadMigrations()
  const unknown = (await appliedMigrations(db)).filter((name) => !(name in migrations))
  if (unknown.length > 0) {
    throw new NewerDatabase(
      `the database has had the migration ${unknown.join(', ')}, which this version of edge-ipam does not know; ` +
        'start the newer version, or restore a backup from before the upgrade',
    )
  }
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error, results } = await migrator.migrateToLatest()
  if (error) throw error
  return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName)
}

/** Whether the database answers and has had every migration that this code needs. */
export async function isCurrent(db: Kysely<Database>): Promise<boolean> {
  try {
    const applied = new Set(await appliedMigrations(db))
    return (await knownMigrations()).every((name) => applied.has(name))
  } catch {
    return false
  }
}
