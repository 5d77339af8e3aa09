import t from 'tap'
import { Gatherer } from '../../src/domain/gatherer.js'
import { startRedis } from '../support/redis.js'
import { gate, lockFor, until } from './support.js'

t.test('who comes while a process waits for its turn is in the batch that the turn is for', async (t) => {
  const redis = await startRedis(t)
  const other = lockFor(t, { redisUrl: redis.url })
  const lock = lockFor(t, { redisUrl: redis.url })
  const end = gate()
  const holding = other.run(['pool'], () => end.opened)
  await until('the lease is taken', async () => (await redis.cli('GET', 'edge-ipam:lock:pool')) !== null)
  const batches: number[][] = []
  const gatherer = new Gatherer<number, number>({
    inTurn: (_waiting, work) => lock.run(['pool'], work),
    run: async (questions) => {
      batches.push([...questions])
      return questions.map((question) => -question)
    },
    maxBatch: 10,
    maxRunning: 1,
    maxQueue: 10,
  })
  const first = gatherer.ask(1)
  await until('it stands in line', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:pool')) === 1)
  const answers = [first, gatherer.ask(2), gatherer.ask(3)]
  end.open()
  await holding
  t.same(await Promise.all(answers), [-1, -2, -3])
  t.same(batches, [[1, 2, 3]])
  t.equal(lock.stats.skipped, 0)
})
