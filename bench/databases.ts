import { makeHistory, setPoolTo } from './fleet.js'
import type { Bench } from './measurement.js'
import { Scope } from './scope.js'
import { startService } from './servers/http.js'
import { withClient } from './servers/postgres.js'

/** A database that a service finds when it starts: its URL. It is gone when the scope ends. */
export type Database = (bench: Bench, scope: Scope) => Promise<string>

export const empty: Database = ({ postgres }, scope) => postgres.createDatabase(scope)

/** What the names of its nodes begin with, and how many have the same display IP: sites number their devices alike. */
export const crowd = { prefix: 'crowd-', nodesPerDisplayIp: 20 }

/** Made once in a run, since it takes half a minute; then copied for each who needs it. */
const crowds = new WeakMap<Bench, Promise<string>>()

/** With a pool of 2^20 addresses, all of them allocated; with --quick 2^16. */
export const crowded: Database = async (bench, scope) => {
  const made = crowds.get(bench) ?? makeCrowd(bench)
  crowds.set(bench, made)
  return bench.postgres.createDatabase(scope, await made)
}

async function makeCrowd(bench: Bench): Promise<string> {
  const databaseUrl = await migrated(bench, bench.scope, bench.quick ? '10.0.0.0/16' : '10.0.0.0/12')
  await withClient(databaseUrl, async (client) => {
    await client.query('set synchronous_commit = off')
    const { used } = await setPoolTo(client, { free: 0, ...crowd })
    await client.query('vacuum analyze')
    bench.progress(`  made a database with ${used.toLocaleString('en')} nodes`)
  })
  return databaseUrl
}

/** With an audit trail of so many rows, of nodes that are long gone. */
export function aged(rows: number): Database {
  return async (bench, scope) => {
    const databaseUrl = await migrated(bench, scope, '10.0.0.0/8')
    await makeHistory(databaseUrl, rows)
    await withClient(databaseUrl, (client) => client.query('vacuum analyze audit'))
    bench.progress(`  made a database with ${rows.toLocaleString('en')} audit rows`)
    return databaseUrl
  }
}

/** The service makes tables and pool; then it is stopped. */
export async function migrated(bench: Bench, scope: Scope, pool: string): Promise<string> {
  const databaseUrl = await empty(bench, scope)
  const starting = new Scope()
  try {
    await startService(starting, { program: bench.program, databaseUrl, pool })
  } finally {
    await starting.end()
  }
  return databaseUrl
}
