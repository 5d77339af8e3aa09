import pg from 'pg'
import type { Test } from 'tap'
import { violations, wrongNumbers } from '../support/invariants.js'
import type { Service } from '../support/service.js'
import { until } from './support.js'

/** Changes that wait in the database, and behind them callers who pile up in the service. */
export interface Pile {
  /** Makes all these requests, at a time when nothing that changes an address can end; resolves when they were read. */
  add<T>(asks: readonly (() => Promise<T>)[]): Promise<Promise<T>[]>
  /** Lets them go. */
  go(): Promise<void>
}

/**
 * Holds the locks of every row that a change of an address may want, until one caller is known to wait for them.
 * Who comes next shares a batch with whoever else comes next.
 */
export async function pileUp(t: Pick<Test, 'teardown'>, service: Service, databaseUrl: string): Promise<Pile> {
  const connect = async () => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    t.teardown(() => client.end())
    return client
  }
  const [blocker, watcher] = [await connect(), await connect()]
  await blocker.query('begin')
  for (const table of ['pools', 'nodes', 'allocations']) await blocker.query(`select from ${table} for update`)
  const read = async () => {
    // Who came later has been answered, so they have been read.
    for (let turn = 0; turn < 3; turn++) await service.call('GET', '/livez')
  }
  return {
    add: async ([first, ...rest]) => {
      const answers = [first!()]
      await until('one waits in the database', async () => {
        const { rows } = await watcher.query(`select count(*)::int as waiting from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`)
        return rows[0].waiting > 0
      })
      answers.push(...rest.map((ask) => ask()))
      await read()
      return answers
    },
    go: async () => {
      await blocker.query('commit')
    },
  }
}

/** Fails the test unless the database holds what it must, and the numbers of the API are the truth. */
export async function expectSound(t: Test, service: Service, databaseUrl: string): Promise<void> {
  t.same(await violations(databaseUrl), [], 'the database holds what it must')
  const { body } = await service.call('GET', '/v1/pools')
  t.same(await wrongNumbers(databaseUrl, body.items), [], 'the numbers of the API are the truth')
}

/** Fails the test if the service has logged an error. */
export function expectNoErrors(t: Test, { lines }: Service): void {
  t.same(
    lines.filter((line) => /"level":(50|60)/.test(line)),
    [],
    'none of it is an error of ours',
  )
}
