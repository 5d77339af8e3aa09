import { withClient } from '../servers/postgres.js'

/** A table with fewer rows is read as a whole with good reason. */
const LARGE = 10_000

interface Count {
  scans: number
  rows: number
}

/**
 * Whether a round read large tables from end to end. PostgreSQL counts it, whoever asks; so all that the benchmark itself
 * asks has a connection of its own, whose counts are in when it is closed. What the service did in the last second of a round
 * may be counted in the next one only.
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
    for (const [table, after] of await this.#counts()) {
      const before = this.#before.get(table) ?? { scans: 0, rows: 0 }
      const scans = after.scans - before.scans
      const each = Math.round((after.rows - before.rows) / scans)
      if (scans > 0 && each >= LARGE) problems.push(`${scans} sequential scans of ${table} read ${each} rows each`)
    }
    return problems
  }

  #counts(): Promise<Map<string, Count>> {
    return withClient(this.databaseUrl, async (client) => {
      const { rows } = await client.query<{ relname: string } & Count>(
        'select relname, seq_scan::float8 as scans, seq_tup_read::float8 as rows from pg_stat_user_tables',
      )
      return new Map(rows.map(({ relname, ...count }) => [relname, count]))
    })
  }
}
