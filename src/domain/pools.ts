import { Problem } from '../core/errors.js'
import { type Cidr, cidrEncloses, formatCidr, parseAddress, parseCidr } from '../core/ip.js'
import { cidrRefusal, usableRange, utilization } from '../core/pool.js'
import { RangeSet } from '../core/range-set.js'
import type { NewPool, Pool, PoolPatch } from '../schemas/pool.js'
import { anyWithin, sweepPool } from '../store/allocations.js'
import { writeAudit } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import { networkThatOverlaps } from '../store/networks.js'
import * as store from '../store/pools.js'
import { transaction, withRetries } from '../store/transaction.js'
import { type Context, type Meant, signatureOf } from './context.js'
import { poolNotFound, rangeText, reserve, toReservation } from './reservations.js'

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
 * @throws Problem pool_not_found, precondition_failed, pool_overlap, cidr_not_usable, address_in_use
 */
export function patchPool(context: Context, name: string, patch: PoolPatch, meant: Meant): Promise<VersionedPool> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const locked = await store.lockPool(trx, name)
    if (meant && !(locked && meant(locked.revision))) throw stale()
    if (!locked) throw poolNotFound(name)
    const before = settingsOf((await loadPool(trx, name)).pool)
    if (patch.cidr !== undefined) await growPool(context, trx, { ...locked, name }, parseCidr(patch.cidr))
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

async function growPool(
  context: Context,
  trx: Executor,
  pool: { id: number; name: string; cidr: string },
  wish: Cidr,
): Promise<void> {
  const old = parseCidr(pool.cidr)
  if (!cidrEncloses(wish, old)) {
    throw new Problem('cidr_not_usable', `A pool only grows around itself: the CIDR has to contain ${pool.cidr}.`)
  }
  const refusal = cidrRefusal(wish)
  if (refusal !== null) throw new Problem('cidr_not_usable', refusal)
  await expectNoOverlap(trx, formatCidr(wish), pool.name)
  const [before, after] = [RangeSet.of(usableRange(old)), RangeSet.of(usableRange(wish))]
  const texts = (set: RangeSet) => set.ranges.map((range) => rangeText(wish, range))
  // The smallest pools hand out their edges too, and a larger network may have its own just there.
  const lost = texts(before.subtract(after))
  if (lost.length > 0) await sweepAll(context, trx, pool.id)
  for (const { first, last } of lost) {
    if (await anyWithin(trx, first, last)) {
      throw new Problem(
        'address_in_use',
        `${first} is allocated or in quarantine, and would be a network, broadcast or anycast address of ${formatCidr(wish)}.`,
      )
    }
  }
  await store.growPool(trx, pool.id, formatCidr(wish), { gained: texts(after.subtract(before)), lost })
}

/** Frees what only waits to be swept in a pool that is locked. */
async function sweepAll(context: Context, trx: Executor, poolId: number): Promise<void> {
  while ((await sweepPool(trx, poolId, 1_000, { ...signatureOf(context), patient: true })) > 0);
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

/** Every pool, for who watches them all. */
export async function allPools(db: Executor): Promise<Pool[]> {
  return (await withRetries(() => store.listPools(db, { limit: 1_000, after: null }))).map(toPool)
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
export function deletePool(context: Context, name: string, meant: Meant): Promise<void> {
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
    await sweepAll(context, trx, locked.id)
    await store.deletePool(trx, locked.id)
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'pool.deleted',
      pool: name,
      before: { cidr: pool.cidr, reservations: pool.reservations },
    })
  })
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

function stale(): Problem {
  return new Problem('precondition_failed', 'The pool is not as If-Match says. Read it again.')
}
