import { Problem } from '../core/errors.js'
import {
  type Cidr,
  canonicalAddress,
  cidrContains,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from '../core/ip.js'
import { usableRange } from '../core/pool.js'
import { type Range, RangeSet } from '../core/range-set.js'
import type { NewReservation, Reservation } from '../schemas/pool.js'
import { writeAudit } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import { lockPool, poolByName, touchPool } from '../store/pools.js'
import * as store from '../store/reservations.js'
import { transaction, withRetries } from '../store/transaction.js'
import { type Context, type Meant, signatureOf } from './context.js'

/**
 * Keeps addresses out of allocation. Those in quarantine may be reserved, those in use may not.
 * @throws Problem pool_not_found, address_in_use, reservation_overlap, reservation_outside_pool, invalid_range
 */
export function createReservation(context: Context, poolName: string, wish: NewReservation): Promise<Reservation> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await lockPool(trx, poolName)
    if (!locked) throw poolNotFound(poolName)
    const reservation = await reserve(trx, { ...locked, name: poolName, cidr: parseCidr(locked.cidr) }, wish, '')
    await touchPool(trx, locked.id)
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'reservation.created',
      pool: poolName,
      after: { ...reservation },
    })
    return reservation
  })
}

/** @throws Problem pool_not_found, reservation_not_found, precondition_failed */
export function deleteReservation(context: Context, poolName: string, id: string, meant: Meant): Promise<void> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await lockPool(trx, poolName)
    const isId = /^[1-9]\d{0,15}$/.test(id)
    const row = locked && isId ? await store.findReservation(trx, locked.id, Number(id)) : undefined
    // A reservation never changes, so its id is its version.
    if (meant && !(row && meant(row.id))) {
      throw new Problem('precondition_failed', 'No such reservation is there any more.')
    }
    if (!locked) throw poolNotFound(poolName)
    if (!row) throw new Problem('reservation_not_found', `Pool ${poolName} has no reservation of this id.`)
    const cidr = parseCidr(locked.cidr)
    const reserved = RangeSet.of({ first: parseAddress(row.start).value, last: parseAddress(row.end).value })
    const [part] = reserved.intersect(RangeSet.of(usableRange(cidr))).ranges
    await store.deleteReservation(trx, locked.id, row.id, part ? rangeText(cidr, part) : null)
    await touchPool(trx, locked.id)
    const before = { ...toReservation(row) }
    await writeAudit(trx, { ...signatureOf(context), action: 'reservation.deleted', pool: poolName, before })
  })
}

/** A pool's reservations, by address. @throws Problem pool_not_found */
export async function listReservations(
  context: Context,
  poolName: string,
  page: { limit: number; after: string | null },
): Promise<Reservation[]> {
  return withRetries(async () => {
    const pool = await poolByName(context.db, poolName)
    if (!pool) throw poolNotFound(poolName)
    return (await store.listReservations(context.db, pool.id, page)).map(toReservation)
  })
}

/**
 * Stores a reservation in a pool that is locked. `at` is its JSON Pointer in the request.
 * @throws Problem address_in_use, reservation_overlap, reservation_outside_pool, invalid_range
 */
export async function reserve(
  trx: Executor,
  pool: { id: number; name: string; cidr: Cidr },
  wish: NewReservation,
  at: string,
): Promise<Reservation> {
  const start = parseAddress(wish.start)
  const end = parseAddress(wish.end ?? wish.start)
  if (start.family !== end.family || start.value > end.value) {
    throw new Problem('invalid_range', `${at}/end comes before ${at}/start, or is of the other IP version.`)
  }
  if (!cidrContains(pool.cidr, start) || !cidrContains(pool.cidr, end)) {
    throw new Problem(
      'reservation_outside_pool',
      `The range is not within ${formatCidr(pool.cidr)} of pool ${pool.name}.`,
    )
  }
  const first = formatAddress(start)
  const last = formatAddress(end)
  const other = await store.reservationThatOverlaps(trx, first, last)
  if (other) {
    throw new Problem(
      'reservation_overlap',
      `The range overlaps the reservation of ${canonicalAddress(other.start)} to ${canonicalAddress(other.end)}.`,
    )
  }
  const held = await store.heldWithin(trx, first, last)
  if (held) {
    throw new Problem('address_in_use', `A node holds ${canonicalAddress(held.address)}. Release it first.`)
  }
  const reservation = { poolId: pool.id, first, last, reason: wish.reason }
  const { id, created_at } = await store.insertReservation(trx, reservation)
  return { id: String(id), start: first, end: last, reason: wish.reason, createdAt: created_at.toISOString() }
}

export function toReservation(row: store.ReservationRow): Reservation {
  return {
    id: String(row.id),
    start: canonicalAddress(row.start),
    end: canonicalAddress(row.end),
    reason: row.reason,
    createdAt: new Date(row.created_at).toISOString(),
  }
}

/** A range of a pool as the store takes it. */
export function rangeText({ family }: Cidr, { first, last }: Range): { first: string; last: string } {
  return { first: formatAddress({ family, value: first }), last: formatAddress({ family, value: last }) }
}

export function poolNotFound(name: string): Problem {
  return new Problem('pool_not_found', `There is no pool ${name}.`)
}
