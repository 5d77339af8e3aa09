import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { appliedMigrations, knownMigrations, migrate } from '../../src/store/migrate.js'
import { openTestDatabase } from '../support/database.js'
import { describeSchema } from '../support/schema.js'

const golden = new URL('../golden/schema.txt', import.meta.url)

t.test('the migrations make the schema of the golden file', async (t) => {
  const schema = await describeSchema(await openTestDatabase(t))
  if (process.env.UPDATE_GOLDEN) writeFileSync(golden, schema)
  t.equal(schema, readFileSync(golden, 'utf8'), 'if it is meant: UPDATE_GOLDEN=1 npm test -- test/store/schema.test.ts')
})

t.test('migrating again changes nothing', async (t) => {
  const db = await openTestDatabase(t)
  t.strictSame(await migrate(db), [])
  t.strictSame(await appliedMigrations(db), await knownMigrations())
})
