import { sql } from 'kysely'
import type { Executor } from './database.js'

/**
 * The lines of a hosts file, `<address> <node><ending>`, by node name: of every node that holds an address now. What is too
 * long for a name of DNS is left out. Made by the database, as one text: of a hundred thousand rows each would cost more.
 */
export async function hostsText(db: Executor, ending: string): Promise<string> {
  const result = await sql<{ text: string }>`
    select coalesce(
      string_agg(host(address) || ' ' || node_name || ${ending}::text || E'\n', '' order by node_name), ''
    ) as text
    from allocations
    where state <> 'quarantined' and length(node_name || ${ending}::text) <= 253 and node_name !~ '[^.]{64}'`.execute(
    db,
  )
  return result.rows[0]!.text
}
