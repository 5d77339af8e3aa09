import type { Kysely } from 'kysely'
import type { Test } from 'tap'
import { openDatabase } from '../../src/store/database.js'
import { migrate } from '../../src/store/migrate.js'
import type { Database } from '../../src/store/schema.js'
import { createDatabase } from './postgres.js'

/** A migrated database of the test's own, opened as the service opens it. */
export async function openTestDatabase(t: Pick<Test, 'teardown'>, connections = 5): Promise<Kysely<Database>> {
  const db = openDatabase({ url: await createDatabase(t), connections, onError: () => {} })
  t.teardown(() => db.destroy())
  await migrate(db)
  return db
}
