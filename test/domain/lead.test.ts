import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { Lead } from '../../src/domain/lead.js'
import { takeLease } from '../../src/store/leases.js'
import { until } from '../faults/support.js'
import { openTestDatabase } from '../support/database.js'

/** Who leads. */
async function startLeading(t: Test) {
  const db = await openTestDatabase(t)
  const lead = new Lead(db, 'work', (error) => t.error(error))
  t.teardown(() => lead.stop())
  await until('it leads', () => lead.isOurs)
  return { db, lead }
}

t.test('who stops to lead gives the lease back: the next one need not wait', async (t) => {
  const { db, lead } = await startLeading(t)
  t.equal(await takeLease(db, 'work', randomUUID(), 15), false)
  await lead.stop()
  t.equal(lead.isOurs, false)
  t.equal(await takeLease(db, 'work', randomUUID(), 15), true)
})

t.test('who cannot renew the lease leads no longer than it lasts', async (t) => {
  const { lead } = await startLeading(t)
  const now = performance.now()
  const after = (ms: number) => t.intercept(performance, 'now', { value: () => now + ms })
  after(10_000)
  t.equal(lead.isOurs, true, 'one renewal that is missed does no harm')
  after(15_000)
  t.equal(lead.isOurs, false)
})

t.test('who comes second does not lead', async (t) => {
  const { db, lead } = await startLeading(t)
  const second = new Lead(db, 'work', (error) => t.error(error))
  await second.stop()
  t.equal(second.isOurs, false)
  t.equal(lead.isOurs, true)
  t.equal(await takeLease(db, 'work', randomUUID(), 15), false, 'and does not give back what is the first one’s')
})
