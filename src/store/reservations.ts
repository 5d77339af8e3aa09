import { sql } from 'kysely'
import type { Executor } from './database.js'

export interface ReservationRow {
  id: number
  start: string
  end: string
  reason: string
  created_at: Date | string
}

/** A pool's reservations, by address. */
export function listReservations(
  db: Executor,
  poolId: number,
  page: { limit: number; after: string | null },
): Promise<ReservationRow[]> {
  let query = reservations(db).where('r.pool_id', '=', poolId).orderBy('r.first_address').limit(page.limit)
  if (page.after !== null) query = query.where(sql<boolean>`r.first_address > ${page.after}::inet`)
  return query.execute()
}

function reservations(db: Executor) {
  return db
    .selectFrom('reservations as r')
    .select([
      'r.id',
      sql<string>`host(r.first_address)`.as('start'),
      sql<string>`host(r.last_address)`.as('end'),
      'r.reason',
      'r.created_at',
    ])
}

export function findReservation(db: Executor, poolId: number, id: number): Promise<ReservationRow | undefined> {
  return reservations(db).where('r.pool_id', '=', poolId).where('r.id', '=', id).executeTakeFirst()
}

/** An address of the range that a node holds, if there is one. */
export function heldWithin(db: Executor, first: string, last: string): Promise<{ address: string } | undefined> {
  return db
    .selectFrom('allocations')
    .select(sql<string>`host(address)`.as('address'))
    .where('state', '<>', 'quarantined')
    .where(sql<boolean>`address between ${first}::inet and ${last}::inet`)
    .orderBy('allocations.address')
    .limit(1)
    .executeTakeFirst()
}

export function reservationThatOverlaps(
  db: Executor,
  first: string,
  last: string,
): Promise<{ start: string; end: string } | undefined> {
  return db
    .selectFrom('reservations')
    .select([sql<string>`host(first_address)`.as('start'), sql<string>`host(last_address)`.as('end')])
    .where(sql<boolean>`address_range(first_address, last_address, '[]') && address_range(${first}, ${last}, '[]')`)
    .executeTakeFirst()
}

/** Stores a reservation and takes its addresses out of the free ranges. The pool is locked. */
export async function insertReservation(
  db: Executor,
  reservation: { poolId: number; first: string; last: string; reason: string },
): Promise<{ id: number; created_at: Date }> {
  await sql`select withdraw_free(${reservation.poolId}, ${reservation.first}::inet, ${reservation.last}::inet)`.execute(
    db,
  )
  return db
    .insertInto('reservations')
    .values({
      pool_id: reservation.poolId,
      first_address: reservation.first,
      last_address: reservation.last,
      reason: reservation.reason,
    })
    .returning(['id', 'created_at'])
    .executeTakeFirstOrThrow()
}

/** Removes a reservation and gives back what nobody holds of `usable`, its part of the pool's usable range. */
export async function deleteReservation(
  db: Executor,
  poolId: number,
  id: number,
  usable: { first: string; last: string } | null,
): Promise<void> {
  await db.deleteFrom('reservations').where('id', '=', id).execute()
  if (usable) {
    await sql`select restore_free(${poolId}, ${usable.first}::inet, ${usable.last}::inet)`.execute(db)
  }
}
