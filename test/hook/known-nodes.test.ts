import t, { type Test } from 'tap'
import { KnownNodes } from '../../src/domain/known-nodes.js'
import type { Report, Seen } from '../../src/domain/observe.js'
import { openTestDatabase } from '../support/database.js'

const MINUTE = 60_000
const seen: Seen = { uniqueIp: '10.77.0.1', reports: 'its own' }

function reportOf(number: number): Report {
  return { name: `edge-${number}`, nodeUid: 'uid', addresses: ['10.77.0.1'], labels: {} }
}

/** A memory that has learned of so many nodes at once, and a clock that can be set forward. */
async function learned(t: Test, count: number) {
  const known = new KnownNodes(await openTestDatabase(t), (error) => t.fail(error))
  t.teardown(() => known.close())
  let ahead = 0
  const now = performance.now.bind(performance)
  performance.now = () => now() + ahead
  t.teardown(() => {
    performance.now = now
  })
  const learn = (number: number) => known.learn(reportOf(number), async () => seen)
  for (let number = 0; number < count; number++) await learn(number)
  return {
    learn,
    isKnown: (number: number) => known.recall(reportOf(number)) !== undefined,
    /** Learns of all again that are not known any more; how many those were. */
    round: async () => {
      let again = 0
      for (let number = 0; number < count; number++) {
        if (known.recall(reportOf(number))) continue
        again++
        await learn(number)
      }
      return again
    },
    pass: (ms: number) => {
      ahead += ms
    },
  }
}

t.test('what is learned together is looked up anew one by one, within an hour', async (t) => {
  const { round, pass } = await learned(t, 5_000)
  const rounds: number[] = []
  for (let turn = 0; turn < 30; turn++) {
    pass(6 * MINUTE)
    rounds.push(await round())
  }
  const first = rounds.slice(0, 10)
  t.ok(
    first.reduce((sum, one) => sum + one) >= 5_000,
    `nothing is taken for what it was for longer: ${first.join(' ')}`,
  )
  t.ok(Math.max(...rounds) < 2_000, `no six minutes have all of them: ${rounds.join(' ')}`)
})

t.test('where there are too many nodes the oldest is forgotten, and not all', async (t) => {
  const { learn, isKnown } = await learned(t, 100_000)
  // For one that is known already nobody is forgotten, and it is the newest then.
  await learn(1)
  t.ok(isKnown(0))
  await learn(100_000)
  t.notOk(isKnown(0))
  await learn(100_001)
  t.notOk(isKnown(2))
  for (const number of [1, 3, 99_999, 100_000, 100_001]) t.ok(isKnown(number), `${number}`)
})
