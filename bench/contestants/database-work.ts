import { setTimeout as pause } from 'node:timers/promises'
import { withClient } from '../servers/postgres.js'

/** A table with fewer rows is read as a whole with good reason. */
const LARGE = 10_000

interface Count {
  scans: number
  rows: number
}

/**
 * Whether a round read large tables from end to end: row by row, or an index from its first entry to its last, which is no
 * better. PostgreSQL counts both, whoever asks; so all that the benchmark itself asks has a connection of its own, whose
 * counts are in when it is closed. What the service did in the last second of a round may be counted in the next one only.
 */
export class Scans {
  #before = new Map<string, Count>()

  constructor(private readonly databaseUrl: string) {}

  async begin(): Promise<void> {
    this.#before = await this.#counts()
  }

  /** What was wrong. */
  async end(): Promise<string[]> {
    const problems: string[] = []
    for (const [what, after] of await this.#counts()) {
      const before = this.#before.get(what) ?? { scans: 0, rows: 0 }
      const scans = after.scans - before.scans
      const each = Math.round((after.rows - before.rows) / scans)
      if (scans > 0 && each >= LARGE) problems.push(`${scans} scans of ${what} read ${each} rows each`)
    }
    return problems
  }

  #counts(): Promise<Map<string, Count>> {
    return withClient(this.databaseUrl, async (client) => {
      const { rows } = await client.query<{ what: string } & Count>(`
        select 'table ' || relname as what, seq_scan::float8 as scans, seq_tup_read::float8 as rows from pg_stat_user_tables
        union all
        select 'index ' || indexrelname, idx_scan::float8, idx_tup_read::float8 from pg_stat_user_indexes`)
      return new Map(rows.map(({ what, ...count }) => [what, count]))
    })
  }
}

const SETTLE_LIMIT = 60_000

/**
 * Waits until the database has nothing to do: a slow service still works on what nobody waits for any more, and would share
 * the processors with whoever is measured next. Returns what was wrong.
 */
export async function settle(databaseUrl: string): Promise<string[]> {
  const deadline = Date.now() + SETTLE_LIMIT
  const busy = `select count(*)::integer as busy from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()`
  return withClient(databaseUrl, async (client) => {
    while ((await client.query(busy)).rows[0].busy > 0) {
      if (Date.now() > deadline) return [`the database was still busy ${SETTLE_LIMIT / 1000} s after a round`]
      await pause(50)
    }
    return []
  })
}
