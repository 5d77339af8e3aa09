import pg from 'pg'
import t from 'tap'
import type { Service } from '../support/service.js'
import { needsRealRedis, type Replicas, startReplicas } from './replicas.js'

// The lock guarantees nothing, so that it is used at all cannot be seen in the answers. It can be seen in PostgreSQL:
// what waits in Redis does not wait there. How often anybody looks depends on how busy the machine is; so every
// transaction looks for itself, while it has its locks, and says whether the other replica waits for it.

/** Rounds that have to tell something; each is of so many new names. */
const ROUNDS = 5
const NAMES = 400

t.test('with Redis two replicas do not meet in the database', { timeout: 280_000, skip: needsRealRedis }, async (t) => {
  const without = await meetings(t, await startReplicas(t, { count: 2, redis: false }))
  t.comment(`without Redis: ${JSON.stringify(without)}`)
  const withRedis = await meetings(t, await startReplicas(t, { count: 2 }))
  t.comment(`with Redis: ${JSON.stringify(withRedis)}`)
  t.ok(without.transactions >= 20 && withRedis.transactions >= 20, 'there were transactions enough to tell')
  t.ok(without.met > without.transactions / 10, 'without Redis they do meet')
  t.ok(withRedis.met < withRedis.transactions / 50, 'with it they wait in Redis')
})

/**
 * Has two replicas allocate from one pool as fast as they can; says how many transactions there were, and for how many
 * of them the other replica waited. A lock that a replica could not have in time it goes without, as it has to on a
 * machine that is very busy: a round in which one did tells nothing.
 */
async function meetings(t: Parameters<typeof startReplicas>[0], { services, load, databaseUrl, sound }: Replicas) {
  const watcher = new pg.Client({ connectionString: databaseUrl })
  await watcher.connect()
  t.teardown(() => watcher.end())
  // Who is not waited for gives the other one time to come: a moment that is long beside what a replica needs for its
  // next batch, and short beside what it waits for the lock.
  await watcher.query(`
    create unlogged table transactions (met boolean);
    create function look_round() returns trigger language plpgsql as $$
    declare
      met boolean;
      patience timestamptz := clock_timestamp() + interval '25 ms';
    begin
      loop
        perform pg_stat_clear_snapshot();
        met := exists (select from pg_stat_activity
          where datname = current_database() and application_name like 'replica-%'
            and application_name <> current_setting('application_name')
            and pg_backend_pid() = any (pg_blocking_pids(pid)));
        exit when met or clock_timestamp() > patience;
        perform pg_sleep(0.001);
      end loop;
      insert into transactions values (met);
      return null;
    end $$;
    create trigger look_round after insert on audit for each statement execute function look_round()`)
  const seen = { rounds: 0, transactions: 0, met: 0 }
  for (let round = 0; seen.rounds < ROUNDS; round++) {
    const before = await withoutLock(services)
    const names = Array.from({ length: NAMES }, (_, number) => `node-${round}-${number}`)
    await load.run(names, (name, connection) => load.allocate(connection, name))
    const { rows } = await watcher.query(
      'with seen as (delete from transactions returning met) select count(*)::int, count(*) filter (where met)::int as met from seen',
    )
    if ((await withoutLock(services)) > before) continue
    seen.rounds++
    seen.transactions += rows[0].count
    seen.met += rows[0].met
  }
  await sound('as fast as they can')
  return seen
}

/** How many batches of all replicas went on without the lock so far, or lost it. */
async function withoutLock(services: readonly Service[]): Promise<number> {
  let sum = 0
  for (const service of services) {
    const { text } = await service.call('GET', '/metrics')
    for (const [, count] of text.matchAll(/^edge_ipam_lock_(?:skipped|lost)_total (\d+)$/gm)) sum += Number(count)
  }
  return sum
}
