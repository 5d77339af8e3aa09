import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { openDatabase } from '../../src/store/database.js'
import { startPrivatePostgres } from '../support/postgres.js'
import { signalFamily } from './support.js'

// What is at stake: a connection that gave no answer in time may be inside a transaction that nobody will ever
// commit. Handed to the next caller, it would take what that caller writes with it: answered, and lost.

t.test('a connection that hung is never used again', { timeout: 120_000 }, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const db = openDatabase({ url: postgres.url, connections: 1, onError: () => {} })
  const witness = new pg.Client({ connectionString: postgres.url })
  await witness.connect()
  t.teardown(async () => {
    signalFamily(postgres.pid(), 'SIGCONT')
    await db.destroy()
    await witness.end()
  })
  await sql`create table written (number integer)`.execute(db)

  const hung = {
    'in its BEGIN': () => db.transaction().execute((trx) => sql`insert into written values (0)`.execute(trx)),
    'in a statement and then in its ROLLBACK': () =>
      db.transaction().execute(async (trx) => {
        signalFamily(postgres.pid(), 'SIGSTOP')
        await sql`insert into written values (0)`.execute(trx)
      }),
    'in a statement outside of transactions': () => sql`insert into written values (0)`.execute(db),
  }
  let number = 0
  for (const [where, work] of Object.entries(hung)) {
    number++
    await sql`select 1`.execute(db)
    if (!where.includes('ROLLBACK')) signalFamily(postgres.pid(), 'SIGSTOP')
    await t.rejects(async () => void (await work()), `${where}: no answer in time is an error`)
    signalFamily(postgres.pid(), 'SIGCONT')
    await sql`insert into written values (${sql.lit(number)})`.execute(db)
    const seen = await witness.query('select 1 from written where number = $1', [number])
    t.equal(seen.rowCount, 1, `${where}: what the next one writes is written`)
  }
})
