import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Load } from '../support/load.js'
import { mix } from './mix.js'
import { needsRealRedis, type Replicas, startReplicas } from './replicas.js'

t.test('Redis is killed half-way', { timeout: 280_000, skip: needsRealRedis }, async (t) => {
  const replicas = await startReplicas(t)
  await mix(t, replicas, { halfway: () => replicas.redis!.kill9() })
  t.ok(
    replicas.services.every(({ lines }) => lines.filter((line) => line.includes('Redis is not usable')).length === 1),
    'every replica says so, once',
  )
})

t.test(
  'a replica is stopped for longer than its lease while it holds the lock',
  {
    timeout: 280_000,
    skip: needsRealRedis,
  },
  async (t) => {
    const replicas = await startReplicas(t)
    await mix(t, replicas, { halfway: () => stopTheHolder(replicas) })
  },
)

/** Has all replicas work, stops the one that holds the lock until others have taken over, and lets it go on. */
async function stopTheHolder({ services, redis, load, sound }: Replicas): Promise<void> {
  const background = new Load({ ...load.options, connections: 12 })
  let going = true
  const jobs = function* () {
    for (let number = 0; going; number++) yield number
  }
  const work = background.run(jobs(), (number, connection) => background.allocate(connection, `background-${number}`))
  const owner = () => redis!.cli('GET', 'edge-ipam:lock:*')
  const end = Date.now() + 60_000
  for (let turn = 0; ; turn++) {
    if (Date.now() > end) throw new Error('no replica could be stopped while it held the lock')
    const service = services[turn % services.length]!
    service.signal('SIGSTOP')
    const held = await owner()
    // While others work a lease changes hands every few milliseconds; one that does not move is that of the stopped one.
    await delay(700)
    if (held !== null && (await owner()) === held) {
      while ((await owner()) === held) await delay(20)
      // Others have it now, and work.
      const before = background.answered.length
      while (background.answered.length < before + 20) await delay(5)
      service.signal('SIGCONT')
      break
    }
    service.signal('SIGCONT')
  }
  going = false
  await work
  background.close()
  load.answered.push(...background.answered)
  load.improper.push(...background.improper)
  await sound('a holder that was stopped')
}
