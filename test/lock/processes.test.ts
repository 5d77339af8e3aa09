import t from 'tap'
import { startRedis } from '../support/redis.js'
import { lockFor, startHolder, until } from './support.js'

t.test('a holder that is killed blocks its key until the lease is over, and no longer', async (t) => {
  const redis = await startRedis(t)
  const holder = await startHolder(t, { redisUrl: redis.url, leaseMs: 1_500, waitMs: 5_000 })
  await holder.hold('pool')
  const lock = lockFor(t, { redisUrl: redis.url })
  holder.child.kill('SIGKILL')
  await lock.run(['pool'], async () => {
    t.equal(lock.stats.skipped, 0)
  })
  t.equal(lock.stats.acquired, 1)
  t.equal(lock.stats.waited, 1)
})

t.test('a waiter that is killed holds up nobody', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url })
  const holder = await startHolder(t, { redisUrl: redis.url, leaseMs: 30_000, waitMs: 5_000 })
  await holder.hold('pool')
  const waiter = await startHolder(t, { redisUrl: redis.url, leaseMs: 30_000, waitMs: 1_000 })
  waiter.hold('pool').catch(() => {})
  await until('it waits', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:pool')) === 1)
  waiter.child.kill('SIGKILL')
  const running = lock.run(['pool'], async () => {})
  await holder.letGo()
  await running
  t.equal(lock.stats.skipped, 0)
})

t.test('a holder that is paused for longer than its lease stops nobody, and asks anew when it wakes', async (t) => {
  const redis = await startRedis(t)
  const holder = await startHolder(t, { redisUrl: redis.url, leaseMs: 900, waitMs: 10_000 })
  await holder.hold('pool')
  const lock = lockFor(t, { redisUrl: redis.url })
  let inside = false
  let again: Promise<void> | undefined
  holder.child.kill('SIGSTOP')
  await lock.run(['pool'], async () => {
    t.equal(lock.stats.acquired, 1, 'taken over when the lease was over')
    holder.child.kill('SIGCONT')
    await until('it notices', async () => (await holder.stats()).lost > 0)
    await holder.letGo()
    again = holder.hold('pool').then(() => {
      inside = true
    })
    await until('it stands in line', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:pool')) === 1)
    t.equal(inside, false, 'its next run waits for its turn')
  })
  await again
  await holder.letGo()
  t.match(await holder.stats(), { skipped: 0, acquired: 3 }, 'the first run of all, and the pool twice')
  t.equal(lock.stats.skipped, 0)
})

t.test('a process that wakes looks at the clock before it relies on its lease', async (t) => {
  const redis = await startRedis(t)
  const holder = await startHolder(t, { redisUrl: redis.url, leaseMs: 900, waitMs: 10_000 })
  await holder.hold('pool')
  await holder.letGo()
  holder.child.kill('SIGSTOP')
  await until('the lease is over', async () => (await redis.cli('EXISTS', 'edge-ipam:lock:pool')) === 0)
  // Somebody who does not send it a message, so that what it finds on waking is only that it has a run to do.
  await redis.cli('SET', 'edge-ipam:lock:pool', 'somebody else', 'PX', '30000')
  let inside = false
  const again = holder.hold('pool').then(() => {
    inside = true
  })
  holder.child.kill('SIGCONT')
  await until('it stands in line', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:pool')) === 1)
  t.equal(inside, false)
  await redis.cli('DEL', 'edge-ipam:lock:pool')
  await again
  await holder.letGo()
  t.equal((await holder.stats()).skipped, 0)
})
