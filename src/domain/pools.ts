import { Problem } from '../core/errors.js'
import {
  type Cidr,
  canonicalAddress,
  cidrContains,
  cidrEncloses,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from '../core/ip.js'
import { cidrRefusal, usableRange, utilization } from '../core/pool.js'
import { type Range, RangeSet } from '../core/range-set.js'
import type { NewPool, NewReservation, Pool, PoolPatch, Reservation } from '../schemas/pool.js'
import { sweepPool } from '../store/allocations.js'
import { writeAudit } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import { networkThatOverlaps } from '../store/networks.js'
import * as store from '../store/pools.js'
import { transaction, withRetries } from '../store/transaction.js'
import { type Context, signatureOf } from './context.js'

/** A pool with the number that its ETag shows: it grows with each change of the pool itself. */
export interface VersionedPool {
  pool: Pool
  revision: number
}

/**
 * @throws Problem pool_exists, pool_overlap, cidr_not_usable, and those of a reservation
 */
export function createPool(context: Context, wish: NewPool): Promise<VersionedPool> {
  return insertPool({ db: context.db, dryRun: context.dryRun, ...signatureOf(context) }, wish)
}

function insertPool(
  { db, dryRun, actor, requestId }: { db: Executor; dryRun: boolean; actor: string; requestId: string | null },
  wish: NewPool,
): Promise<VersionedPool> {
  const cidr = parseCidr(wish.cidr)
  const refusal = cidrRefusal(cidr)
  if (refusal !== null) throw new Problem('cidr_not_usable', refusal)
  return transaction(db, dryRun, async (trx) => {
    if (await store.poolByName(trx, wish.name)) {
      throw new Problem('pool_exists', `There is a pool ${wish.name} already.`)
    }
    await expectNoOverlap(trx, formatCidr(cidr), wish.name)
    const id = await store.insertPool(trx, {
      name: wish.name,
      cidr: formatCidr(cidr),
      state: wish.state ?? 'active',
      priority: wish.priority ?? 100,
      nodeSelector: wish.nodeSelector ?? null,
      quarantineSeconds: wish.quarantineSeconds ?? 3600,
      description: wish.description ?? null,
      usable: rangeText(cidr, usableRange(cidr)),
    })
    for (const [index, reservation] of (wish.reservations ?? []).entries()) {
      await reserve(trx, { id, name: wish.name, cidr }, reservation, `/reservations/${index}`)
    }
    const created = await loadPool(trx, wish.name)
    const after = { ...settingsOf(created.pool), reservations: created.pool.reservations }
    await writeAudit(trx, { actor, requestId, action: 'pool.created', pool: wish.name, after })
    return created
  })
}

/** @throws Problem pool_overlap, naming the pool or the network of the cluster that is in the way */
async function expectNoOverlap(trx: Executor, cidr: string, ownName: string): Promise<void> {
  const other = await store.poolThatOverlaps(trx, cidr, ownName)
  if (other) throw new Problem('pool_overlap', `${cidr} overlaps ${other.cidr} of pool ${other.name}.`)
  const network = await networkThatOverlaps(trx, cidr)
  if (network) {
    throw new Problem(
      'pool_overlap',
      `${cidr} overlaps ${network.cidr}, declared as the cluster's network for ${network.kind}.`,
    )
  }
}

/**
 * Changes a pool; a field that is absent stays. Its CIDR can only grow around itself.
 * @throws Problem pool_not_found, precondition_failed, pool_overlap, cidr_not_usable
 */
export function patchPool(
  context: Context,
  name: string,
  patch: PoolPatch,
  meant: ((revision: number) => boolean) | undefined,
): Promise<VersionedPool> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await store.lockPool(trx, name)
    if (meant && !(locked && meant(locked.revision))) throw stale()
    if (!locked) throw poolNotFound(name)
    const before = settingsOf((await loadPool(trx, name)).pool)
    if (patch.cidr !== undefined) await growPool(trx, { ...locked, name }, parseCidr(patch.cidr))
    await store.updatePool(trx, locked.id, patch)
    const changed = await loadPool(trx, name)
    const after = settingsOf(changed.pool)
    // What says what is stored already changes nothing, and leaves no trace.
    if (JSON.stringify(after) === JSON.stringify(before)) return changed
    const revision = await store.touchPool(trx, locked.id)
    await writeAudit(trx, { ...signatureOf(context), action: 'pool.updated', pool: name, before, after })
    return { pool: (await loadPool(trx, name)).pool, revision }
  })
}

async function growPool(trx: Executor, pool: { id: number; name: string; cidr: string }, wish: Cidr): Promise<void> {
  const old = parseCidr(pool.cidr)
  if (!cidrEncloses(wish, old)) {
    throw new Problem('cidr_not_usable', `A pool only grows around itself: the CIDR has to contain ${pool.cidr}.`)
  }
  const refusal = cidrRefusal(wish)
  if (refusal !== null) throw new Problem('cidr_not_usable', refusal)
  await expectNoOverlap(trx, formatCidr(wish), pool.name)
  const gained = RangeSet.of(usableRange(wish)).subtract(RangeSet.of(usableRange(old)))
  await store.growPool(
    trx,
    pool.id,
    formatCidr(wish),
    gained.ranges.map((range) => rangeText(wish, range)),
  )
}

/** What of a pool somebody set, as the audit trail keeps it. */
function settingsOf({ name, cidr, state, priority, nodeSelector, quarantineSeconds, description }: Pool) {
  return { name, cidr, state, priority, nodeSelector, quarantineSeconds, description }
}

/** Makes the pool `default`, if there is no pool at all: what a new service begins with. */
export async function makeFirstPool(db: Executor, cidr: string): Promise<void> {
  if (await withRetries(() => store.anyPool(db))) return
  const context = { db, dryRun: false, requestId: null, actor: 'system' }
  await insertPool(context, { name: 'default', cidr }).catch((error) => {
    // Another replica was quicker.
    if (!(error instanceof Problem && (error.code === 'pool_exists' || error.code === 'pool_overlap'))) throw error
  })
}

/** @throws Problem pool_not_found */
export function getPool(context: Context, name: string): Promise<VersionedPool> {
  return withRetries(() => loadPool(context.db, name))
}

/** Pools by name. */
export async function listPools(context: Context, page: { limit: number; after: string | null }): Promise<Pool[]> {
  const rows = await withRetries(() => store.listPools(context.db, page))
  return rows.map(toPool)
}

/**
 * Removes a pool that nobody uses.
 * @throws Problem pool_not_found, pool_in_use, precondition_failed
 */
export function deletePool(
  context: Context,
  name: string,
  meant: ((revision: number) => boolean) | undefined,
): Promise<void> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await store.lockPool(trx, name)
    if (meant && !(locked && meant(locked.revision))) throw stale()
    if (!locked) throw poolNotFound(name)
    const busy = await store.countBusy(trx, locked.id)
    if (busy > 0) {
      throw new Problem(
        'pool_in_use',
        `${busy} of its addresses ${busy === 1 ? 'is' : 'are'} allocated or in quarantine. Release them, and wait for the quarantine to end.`,
      )
    }
    const { pool } = await loadPool(trx, name)
    while ((await sweepPool(trx, locked.id, 1_000, { ...signatureOf(context), patient: true })) > 0);
    await store.deletePool(trx, locked.id)
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'pool.deleted',
      pool: name,
      before: { cidr: pool.cidr, reservations: pool.reservations },
    })
  })
}

/**
 * Keeps addresses out of allocation. Those in quarantine may be reserved, those in use may not.
 * @throws Problem pool_not_found, address_in_use, reservation_overlap, reservation_outside_pool, invalid_range
 */
export function createReservation(context: Context, poolName: string, wish: NewReservation): Promise<Reservation> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await store.lockPool(trx, poolName)
    if (!locked) throw poolNotFound(poolName)
    const reservation = await reserve(trx, { ...locked, name: poolName, cidr: parseCidr(locked.cidr) }, wish, '')
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'reservation.created',
      pool: poolName,
      after: { ...reservation },
    })
    return reservation
  })
}

/** @throws Problem pool_not_found, reservation_not_found */
export function deleteReservation(context: Context, poolName: string, id: string): Promise<void> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await store.lockPool(trx, poolName)
    if (!locked) throw poolNotFound(poolName)
    const row = /^[1-9]\d{0,15}$/.test(id) ? await store.findReservation(trx, locked.id, Number(id)) : undefined
    if (!row) throw new Problem('reservation_not_found', `Pool ${poolName} has no reservation of this id.`)
    const cidr = parseCidr(locked.cidr)
    const reserved = RangeSet.of({ first: parseAddress(row.start).value, last: parseAddress(row.end).value })
    const [part] = reserved.intersect(RangeSet.of(usableRange(cidr))).ranges
    await store.deleteReservation(trx, locked.id, row.id, part ? rangeText(cidr, part) : null)
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
    const pool = await store.poolByName(context.db, poolName)
    if (!pool) throw poolNotFound(poolName)
    return (await store.listReservations(context.db, pool.id, page)).map(toReservation)
  })
}

/** `at` is the JSON Pointer of the reservation in the request. */
async function reserve(
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

async function loadPool(db: Executor, name: string): Promise<VersionedPool> {
  const row = await store.findPool(db, name)
  if (!row) throw poolNotFound(name)
  return { pool: toPool(row), revision: row.revision }
}

function toPool(row: store.PoolRow): Pool {
  const cidr = parseCidr(row.cidr)
  return {
    name: row.name,
    cidr: formatCidr(cidr),
    state: row.state,
    priority: row.priority,
    nodeSelector: row.node_selector,
    quarantineSeconds: row.quarantine_seconds,
    description: row.description,
    reservations: row.reservations.map(toReservation),
    utilization: utilization({
      cidr,
      reservations: row.reservations.map(({ start, end }) => ({
        first: parseAddress(start).value,
        last: parseAddress(end).value,
      })),
      allocated: BigInt(row.allocated),
      quarantinedOutsideReservations: BigInt(row.quarantined),
    }),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}

function toReservation(row: store.ReservationRow): Reservation {
  return {
    id: String(row.id),
    start: canonicalAddress(row.start),
    end: canonicalAddress(row.end),
    reason: row.reason,
    createdAt: new Date(row.created_at).toISOString(),
  }
}

function rangeText({ family }: Cidr, { first, last }: Range): { first: string; last: string } {
  return { first: formatAddress({ family, value: first }), last: formatAddress({ family, value: last }) }
}

function poolNotFound(name: string): Problem {
  return new Problem('pool_not_found', `There is no pool ${name}.`)
}

function stale(): Problem {
  return new Problem('precondition_failed', 'The pool is not as If-Match says. Read it again.')
}
