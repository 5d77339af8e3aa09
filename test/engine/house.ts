import pg from 'pg'
import type { Test } from 'tap'
import { type Context, startEngine } from '../../src/domain/context.js'
import { createLock } from '../../src/lock/allocation-lock.js'
import { openDatabase } from '../../src/store/database.js'
import { migrate } from '../../src/store/migrate.js'
import { createDatabase } from '../support/postgres.js'

/** The engine without the house around it: no HTTP, no Redis, a database of its own. */
export interface Engine {
  /** What the use cases take: an administrator who means it. */
  context: Context
  /** A connection past the engine, for looking and for standing in its way. */
  connect(): Promise<pg.Client>
}

export async function startEngineAlone(t: Test): Promise<Engine> {
  const url = await createDatabase(t)
  const db = openDatabase({ url, connections: 4, onError: () => {} })
  const lock = createLock({ log: { info: () => {}, warn: () => {} } })
  t.teardown(() => Promise.all([db.destroy(), lock.close()]))
  await migrate(db)
  return {
    context: {
      db,
      engine: startEngine(db, lock, { batch: () => {}, drift: () => {} }),
      caller: { role: 'admin', tokenId: 'test', namePattern: null, limited: false },
      requestId: 'test',
      dryRun: false,
    },
    connect: async () => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      t.teardown(() => client.end())
      return client
    },
  }
}
