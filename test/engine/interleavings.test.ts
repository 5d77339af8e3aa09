import type pg from 'pg'
import t from 'tap'
import { allocate } from '../../src/domain/allocations.js'
import { createPool, patchPool } from '../../src/domain/pools.js'
import { release } from '../../src/domain/releases.js'
import { violations } from '../support/invariants.js'
import { startEngineAlone } from './house.js'

// Races, one step after the other: somebody holds a lock, the engine waits for it, and meanwhile the world changes.

/** Waits until the engine waits for a lock. */
async function untilItWaits(client: pg.Client): Promise<void> {
  const end = Date.now() + 20_000
  for (;;) {
    const { rows } = await client.query(
      `select count(*)::int as waiting from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (rows[0].waiting > 0) return
    if (Date.now() > end) throw new Error('nobody waits for a lock')
  }
}

t.test('an address that is released while its node asks again is not answered from memory', async (t) => {
  const { context, connect } = await startEngineAlone(t)
  const [blocker, watcher] = [await connect(), await connect()]
  await createPool(context, { name: 'a', cidr: '10.0.0.0/24' })
  const before = await allocate(context, { nodeName: 'known' })
  await blocker.query('begin')
  await blocker.query('select from pools for update')
  // In one batch: the second one waits for the pool, and the first one with it.
  const answers = Promise.all([allocate(context, { nodeName: 'known' }), allocate(context, { nodeName: 'new' })])
  await untilItWaits(watcher)
  await release(context, { nodeName: 'known' }, { meant: undefined, force: false })
  await blocker.query('commit')
  const [known] = await answers
  t.equal(known.created, true, 'it came back, as if it had asked after the release')
  t.equal(known.allocation.uniqueIp, before.allocation.uniqueIp)
  t.ok(known.allocation.sequence > before.allocation.sequence)
  t.same(await violations(watcher), [])
})

t.test('a node that is forgotten while it tells something new is a new node', async (t) => {
  const { context, connect } = await startEngineAlone(t)
  const [blocker, watcher] = [await connect(), await connect()]
  await createPool(context, { name: 'a', cidr: '10.0.0.0/24' })
  await allocate(context, { nodeName: 'known', displayIp: '192.168.1.1' })
  // As deleteNode() does it, and not committed yet: what the engine reads still has the node.
  await blocker.query('begin')
  await blocker.query(`delete from nodes where name = 'known'`)
  await blocker.query(
    `update allocations set state = 'quarantined', quarantined_until = clock_timestamp() + interval '1 hour'`,
  )
  const answer = allocate(context, { nodeName: 'known', displayIp: '192.168.1.2' })
  await untilItWaits(watcher)
  await blocker.query('commit')
  const { created, allocation } = await answer
  t.ok(created)
  t.equal(allocation.uniqueIp, '10.0.0.2', 'nothing sticks')
  t.equal(allocation.displayIp, '192.168.1.2')
})

t.test('a pool that opens while a request waits for another one is left alone by it', async (t) => {
  const { context, connect } = await startEngineAlone(t)
  const [blocker, rival, watcher] = [await connect(), await connect(), await connect()]
  await createPool(context, { name: 'a', cidr: '10.0.0.0/24' })
  await createPool(context, { name: 'b', cidr: '10.0.1.0/24', quarantineSeconds: 0 })
  await allocate(context, { nodeName: 'back', address: '10.0.1.7' })
  await release(context, { nodeName: 'back' }, { meant: undefined, force: false })
  await watcher.query(`select sweep_pool(id, 10, 'test', null, true) from pools where name = 'b'`)
  await patchPool(context, 'b', { state: 'draining' }, undefined)

  await blocker.query('begin')
  await blocker.query(`select from pools where name = 'a' for update`)
  const answer = allocate(context, { nodeName: 'back' })
  await untilItWaits(watcher)
  await patchPool(context, 'b', { state: 'active' }, undefined)
  // Others are at work in the pool that has opened, under its lock, which the waiting request does not have.
  await rival.query('begin')
  await rival.query(
    `select from allocate_together('[{"ord":1,"node_name":"rival","pool":"b","patch":{},"actor":"test"}]')`,
  )
  await blocker.query('commit')
  const { allocation } = await answer
  await rival.query('commit')
  t.equal(allocation.pool, 'a', 'what it saw when it had its locks is what it goes by')
  t.same(await violations(watcher), [])
})

t.test('who waits for a pool keeps no node waiting', async (t) => {
  const { context, connect } = await startEngineAlone(t)
  const [blocker, watcher] = [await connect(), await connect()]
  await createPool(context, { name: 'a', cidr: '10.0.0.0/24' })
  await allocate(context, { nodeName: 'known', displayIp: '192.168.1.1' })
  await blocker.query('begin')
  await blocker.query('select from pools for update')
  const answers = Promise.all([
    allocate(context, { nodeName: 'known', displayIp: '192.168.1.2' }),
    allocate(context, { nodeName: 'new' }),
  ])
  await untilItWaits(watcher)
  // Locks have one order, pools before nodes; the other way round two batches wait for each other.
  await t.resolves(blocker.query(`select from nodes where name = 'known' for update nowait`).then(() => {}))
  await blocker.query('commit')
  const [known] = await answers
  t.equal(known.allocation.displayIp, '192.168.1.2')
})
