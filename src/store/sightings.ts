import { sql } from 'kysely'
import { MOST_ABSENCES, type Sighting, type SightingChanges } from '../core/sightings.js'
import type { Executor } from './database.js'

/** All that is remembered of the cluster's nodes. */
export async function allSightings(db: Executor): Promise<Sighting[]> {
  const rows = await db
    .selectFrom('sightings')
    .select(['name', 'addresses', 'machines', 'last_seen', 'absent_since', 'absences'])
    .execute()
  return rows.map(({ name, addresses, machines, last_seen, absent_since, absences }) => ({
    name,
    addresses,
    machines,
    lastSeen: last_seen?.getTime() ?? null,
    absentSince: absent_since?.getTime() ?? null,
    absences,
  }))
}

/** Notes what is there, and what is new of it. */
export async function notePresent(db: Executor, present: SightingChanges['present']): Promise<void> {
  if (present.length === 0) return
  await sql`
    insert into sightings (name, addresses, machines)
    select name, addresses, machines
    from jsonb_to_recordset(${JSON.stringify(present)}::jsonb) x (name text, addresses text[], machines jsonb)
    order by name collate "C"
    on conflict (name) do update
    set addresses = excluded.addresses, machines = excluded.machines, last_seen = null, absent_since = null, absences = 0
    `.execute(db)
}

/** Counts one more look in which these were missing; the first one says since when. */
export async function noteAbsent(db: Executor, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await sql`
    insert into sightings as s (name, absent_since, absences)
    select name, clock_timestamp(), 1 from unnest(${names}::text[]) name order by name collate "C"
    on conflict (name) do update
    set absences = least(s.absences + 1, ${MOST_ABSENCES}),
      absent_since = coalesce(s.absent_since, clock_timestamp()),
      last_seen = case when s.absent_since is null then (select at from cluster_look) else s.last_seen end`.execute(db)
}

/** Forgets what is missing for so many days and holds nothing: a part of it, since nobody waits for it. */
export async function forgetSightings(db: Executor, days: number): Promise<void> {
  await sql`
    delete from sightings where name in (
      select name from sightings s
      where absent_since < clock_timestamp() - make_interval(days => ${days})
        and not exists (select from allocations a where a.node_name = s.name and a.state <> 'quarantined')
      limit 1000
    )`.execute(db)
}
