import { setImmediate as nextTurn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { AllocationLock } from '../../src/lock/allocation-lock.js'
import { startRedis, type TestRedis } from '../support/redis.js'
import { gate, lockFor, until } from './support.js'

/** Calls of the lock's scripts so far, as Redis counts them. */
async function scriptCalls(redis: TestRedis): Promise<number> {
  const stats = String(await redis.cli('INFO', 'commandstats'))
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0)
}

t.test('without Redis a run starts at once', async (t) => {
  const lock = lockFor(t, {})
  let started = false
  const result = lock.run(['pool'], async () => {
    started = true
    return 7
  })
  t.equal(started, true)
  t.equal(await result, 7)
  t.same(lock.stats, { acquired: 0, waited: 0, lost: 0, skipped: 0 })
})

t.test('with Redis', async (t) => {
  const redis = await startRedis(t)
  const lockHere = (t: Test, options: object = {}) => lockFor(t, { redisUrl: redis.url, ...options })

  for (const turnMs of [0, 3]) {
    t.test(`one at a time, and in turns (of ${turnMs} ms)`, async (t) => {
      // Nobody looks again by himself, so the messages alone have to bring everybody his turn.
      const options = { turnMs, recheckMs: 60_000 }
      const contenders = [lockHere(t, options), lockHere(t, options), lockHere(t, options)]
      // Connected before the race begins.
      await Promise.all(contenders.map((lock, index) => lock.run([`own-${turnMs}-${index}`], async () => {})))
      const turns = () => contenders.map((lock) => lock.stats.acquired - 1)
      const enough = 10
      let runs = 0
      let inside = 0
      let most = 0
      const deadline = Date.now() + 30_000
      // Everybody keeps asking until everybody has had enough.
      const contend = async (lock: AllocationLock) => {
        while (Math.min(...turns()) < enough && Date.now() < deadline) {
          await lock.run([`contended-${turnMs}`], async () => {
            most = Math.max(most, ++inside)
            await nextTurn()
            await nextTurn()
            inside--
          })
          runs++
        }
      }
      await Promise.all(contenders.map(contend))
      t.equal(most, 1, 'never two inside')
      t.ok(Math.min(...turns()) >= enough, `nobody starves: ${turns()}`)
      t.same(
        contenders.map((lock) => lock.stats.skipped),
        [0, 0, 0],
        'nobody went on without',
      )
      t.ok(Math.max(...turns()) < 2 * enough, `nobody has many more turns than the others: ${turns()}`)
      if (turnMs > 0) t.ok(runs > 100, `a turn is longer than a run: ${runs} runs in ${turns()} turns`)
    })
  }

  t.test('a lease that is held costs a run no command', async (t) => {
    const lock = lockHere(t)
    await lock.run(['kept'], async () => {})
    const acquired = lock.stats.acquired
    const before = await scriptCalls(redis)
    for (let i = 0; i < 500; i++) await lock.run(['kept'], async () => {})
    t.equal(await scriptCalls(redis), before)
    t.equal(lock.stats.acquired, acquired)
    t.equal(lock.stats.skipped, 0)
    t.ok(before > 0, 'the counter counts')
  })

  t.test('runs of one process share the lease', async (t) => {
    const lock = lockHere(t)
    const first = gate()
    const running = lock.run(['shared'], () => first.opened)
    await lock.run(['shared'], async () => {})
    first.open()
    await running
    t.equal(lock.stats.skipped, 0)
    t.equal(lock.stats.waited, 0)
  })

  t.test('a process that always has a run in progress hands over all the same', async (t) => {
    const busy = lockHere(t, { turnMs: 0 })
    const other = lockHere(t, { turnMs: 0 })
    let finished = false
    const deadline = Date.now() + 30_000
    const overlapping = async () => {
      while (!finished && Date.now() < deadline) await busy.run(['overlapped'], () => nextTurn())
    }
    const both = [overlapping(), overlapping()]
    for (let i = 0; i < 10; i++) await other.run(['overlapped'], () => nextTurn())
    finished = true
    await Promise.all(both)
    t.equal(other.stats.skipped, 0)
    t.equal(busy.stats.skipped, 0)
  })

  t.test('several keys are taken together, in whatever order they are named', async (t) => {
    const one = lockHere(t, { turnMs: 0 })
    const two = lockHere(t, { turnMs: 0 })
    const inside = new Set<string>()
    let clashes = 0
    const work = (keys: string[]) => async () => {
      for (const key of keys) {
        if (inside.has(key)) clashes++
        inside.add(key)
      }
      await nextTurn()
      for (const key of keys) inside.delete(key)
    }
    const repeat = async (lock: AllocationLock, keys: string[]) => {
      for (let i = 0; i < 20; i++) await lock.run(keys, work(keys))
    }
    await Promise.all([repeat(one, ['a', 'b', 'c']), repeat(two, ['c', 'b']), repeat(two, ['a'])])
    t.equal(clashes, 0)
    t.equal(one.stats.skipped + two.stats.skipped, 0)
  })

  t.test('a key named twice is held once', async (t) => {
    const lock = lockHere(t)
    const other = lockHere(t)
    await lock.run(['twice', 'twice'], async () => {})
    await other.run(['twice'], async () => {})
    t.equal(other.stats.skipped, 0)
  })

  t.test('an idle holder gives back by itself, before the lease is over', async (t) => {
    await redis.cli('CONFIG', 'SET', 'notify-keyspace-events', 'Kgx')
    const events: string[] = []
    const watcher = new Redis(redis.url)
    t.teardown(() => watcher.disconnect())
    watcher.on('message', (_channel, event) => events.push(event))
    await watcher.subscribe('__keyspace@0__:edge-ipam:lock:idle')
    const lock = lockHere(t, { leaseMs: 1_500 })
    await lock.run(['idle'], async () => {})
    await until('the lease is gone', () => events.includes('del') || events.includes('expired'))
    t.notOk(events.includes('expired'))
    t.equal(lock.stats.lost, 0)
  })

  t.test('a run longer than the lease keeps it', async (t) => {
    const lock = lockHere(t, { leaseMs: 1_000 })
    await lock.run(['long'], async () => {
      const started = performance.now()
      await until('two and a half leases have passed', () => performance.now() - started > 2_500)
      t.ok(await redis.cli('GET', 'edge-ipam:lock:long'))
    })
    t.equal(lock.stats.lost, 0)
  })

  t.test('who waits in vain goes on without, and does not wait again at once', async (t) => {
    const holder = lockHere(t, { waitMs: 50 })
    const impatient = lockHere(t, { waitMs: 50 })
    const end = gate()
    const holding = holder.run(['stuck'], () => end.opened)
    await until('the lease is taken', async () => (await redis.cli('GET', 'edge-ipam:lock:stuck')) !== null)
    t.equal(await impatient.run(['stuck'], async () => 'done'), 'done')
    t.equal(impatient.stats.skipped, 1)
    t.equal(impatient.stats.waited, 1)
    t.equal(await impatient.run(['stuck'], async () => 'done'), 'done')
    t.equal(impatient.stats.skipped, 2)
    t.equal(impatient.stats.waited, 1)
    end.open()
    await holding
    await until('it is used again', async () => {
      const before = impatient.stats.acquired
      await impatient.run(['stuck'], async () => {})
      return impatient.stats.acquired > before
    })
  })

  t.test('a wish that was dropped holds up nobody', async (t) => {
    const holder = lockHere(t, { waitMs: 50 })
    const impatient = lockHere(t, { waitMs: 50 })
    const patient = lockHere(t)
    const end = gate()
    const holding = holder.run(['dropped'], () => end.opened)
    await until('the lease is taken', async () => (await redis.cli('GET', 'edge-ipam:lock:dropped')) !== null)
    await impatient.run(['dropped'], async () => {})
    const waiting = patient.run(['dropped'], async () => {})
    await until('the patient one waits', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:dropped')) === 1)
    end.open()
    await Promise.all([holding, waiting])
    t.equal(patient.stats.skipped, 0)
    t.equal(await redis.cli('EXISTS', 'edge-ipam:queue:dropped'), 0)
  })

  t.test('work that fails gives the lease on', async (t) => {
    const one = lockHere(t)
    const two = lockHere(t)
    const failing = one.run(['failing'], () => Promise.reject(new Error('full')))
    await t.rejects(failing, { message: 'full' })
    await t.rejects(
      one.run(['failing'], () => {
        throw new Error('at once')
      }),
      { message: 'at once' },
    )
    await two.run(['failing'], async () => {})
    t.equal(two.stats.skipped, 0)
  })

  t.test('close gives back what is held, also under a run, which ends undisturbed', async (t) => {
    const lock = lockHere(t)
    const end = gate()
    const running = lock.run(['closed'], () => end.opened)
    await until('the lease is taken', async () => (await redis.cli('GET', 'edge-ipam:lock:closed')) !== null)
    await lock.close()
    t.equal(await redis.cli('GET', 'edge-ipam:lock:closed'), null)
    end.open()
    await running
    t.equal(await lock.run(['closed'], async () => 'without'), 'without')
    t.equal(await redis.cli('GET', 'edge-ipam:lock:closed'), null)
    t.same(lock.warnings, [])
  })
  t.test('close ends a wait, whose run goes on without and takes nothing', async (t) => {
    const holder = lockHere(t)
    const lock = lockHere(t)
    const end = gate()
    const holding = holder.run(['ending'], () => end.opened)
    await until('the lease is taken', async () => (await redis.cli('GET', 'edge-ipam:lock:ending')) !== null)
    const waiting = lock.run(['ending'], async () => 'without')
    await until('it waits', async () => (await redis.cli('ZCARD', 'edge-ipam:queue:ending')) === 1)
    await lock.close()
    t.equal(await waiting, 'without')
    t.equal(await redis.cli('EXISTS', 'edge-ipam:queue:ending'), 0)
    end.open()
    await holding
  })
})
