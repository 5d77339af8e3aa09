import { sql } from 'kysely'
import type { Executor } from './database.js'

/**
 * Takes the lease, or keeps it for so long more. One that lasts longer than that is of before the clock was set back.
 * @returns whether it is the holder's now
 */
export async function takeLease(db: Executor, name: string, holder: string, seconds: number): Promise<boolean> {
  const { rows } = await sql`
    insert into leases (name, holder, until)
    values (${name}, ${holder}, clock_timestamp() + make_interval(secs => ${seconds}))
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where leases.holder = excluded.holder or leases.until < clock_timestamp() or leases.until > excluded.until
    returning 1`.execute(db)
  return rows.length > 0
}

/** Nobody has to wait for its end. */
export async function giveLeaseBack(db: Executor, name: string, holder: string): Promise<void> {
  await sql`delete from leases where name = ${name} and holder = ${holder}`.execute(db)
}
