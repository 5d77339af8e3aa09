import pg from 'pg'
import t from 'tap'
import { LOAD, needsRealRedis, startReplicas } from './replicas.js'

// The lock guarantees nothing, so that it is used at all cannot be seen in the answers. It can be seen in PostgreSQL:
// what waits in Redis does not wait there.

t.test('with Redis two replicas hardly meet in the database', { timeout: 280_000, skip: needsRealRedis }, async (t) => {
  const without = await waitsOf(t, false)
  const withRedis = await waitsOf(t, true)
  t.comment(`looks that found somebody waiting: ${withRedis.share} of 100 with Redis, ${without.share} without`)
  t.ok(without.looks >= 50 && withRedis.looks >= 50, 'there were looks enough to tell')
  t.ok(without.share >= 10, 'without Redis they do meet')
  t.ok(withRedis.share < without.share / 2, 'with it, not half as often')
})

/** Has two replicas allocate from one pool as fast as they can, and looks how often somebody waits for a lock. */
async function waitsOf(t: Parameters<typeof startReplicas>[0], redis: boolean) {
  const { load, databaseUrl, sound } = await startReplicas(t, { count: 2, redis })
  const watcher = new pg.Client({ connectionString: databaseUrl })
  await watcher.connect()
  t.teardown(() => watcher.end())
  // Every transaction lasts a little longer, as it would on a disk that is busy: who meets here meets visibly.
  await watcher.query(`
    create function linger() returns trigger language plpgsql as 'begin perform pg_sleep(0.01); return null; end';
    create trigger lingers after insert on audit for each statement execute function linger()`)
  let going = true
  let looks = 0
  let waits = 0
  const watching = (async () => {
    while (going) {
      const { rows } = await watcher.query(`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' limit 1`)
      looks++
      waits += rows.length
    }
  })()
  const names = Array.from({ length: Math.round(3_000 * LOAD) }, (_, number) => `node-${number}`)
  await load.run(names, (name, connection) => load.allocate(connection, name))
  going = false
  await watching
  await sound(redis ? 'with Redis' : 'without Redis')
  return { looks, share: Math.round((100 * waits) / looks) }
}
