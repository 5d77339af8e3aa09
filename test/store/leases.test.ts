import { sql } from 'kysely'
import t from 'tap'
import { giveLeaseBack, takeLease } from '../../src/store/leases.js'
import { openTestDatabase } from '../support/database.js'

const [one, other] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002']

t.test('a lease is of one holder at a time', async (t) => {
  const db = await openTestDatabase(t)
  t.ok(await takeLease(db, 'work', one, 15))
  t.notOk(await takeLease(db, 'work', other, 15))
  t.ok(await takeLease(db, 'work', one, 15), 'who has it, keeps it')
  t.ok(await takeLease(db, 'other work', other, 15), 'another one is another thing')
  await giveLeaseBack(db, 'work', other)
  t.notOk(await takeLease(db, 'work', other, 15), 'nobody else gives it back')
  await giveLeaseBack(db, 'work', one)
  t.ok(await takeLease(db, 'work', other, 15))
})

t.test('one that is over is free', async (t) => {
  const db = await openTestDatabase(t)
  await takeLease(db, 'work', one, 15)
  await sql`update leases set until = clock_timestamp() - interval '1 ms'`.execute(db)
  t.ok(await takeLease(db, 'work', other, 15))
  t.notOk(await takeLease(db, 'work', one, 15))
})

t.test('one that lasts too long is of before the clock was set back, and free', async (t) => {
  const db = await openTestDatabase(t)
  await takeLease(db, 'work', one, 15)
  await sql`update leases set until = until + interval '1 hour'`.execute(db)
  t.ok(await takeLease(db, 'work', other, 15))
})

t.test('of many who ask at once one has it', async (t) => {
  const db = await openTestDatabase(t)
  const asking = Array.from({ length: 20 }, (_, i) => takeLease(db, 'work', one.replace(/1$/, (i % 10).toString()), 15))
  t.equal(new Set((await Promise.all(asking)).flatMap((has, i) => (has ? [i % 10] : []))).size, 1)
})
