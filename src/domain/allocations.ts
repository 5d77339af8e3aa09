import { Problem, type ProblemCode } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import type { Allocation, NewAllocation, UniqueIp } from '../schemas/allocation.js'
import {
  type AllocationFilter,
  type AllocationOutcome,
  type AllocationRequest,
  allocateBatch,
  type HeldRow,
  listAllocations as list,
} from '../store/allocations.js'
import { transaction, withRetries } from '../store/transaction.js'
import { assertMayName, type Context, signatureOf } from './context.js'

/** What became of a wish: the allocation, and whether it is new. */
export interface Granted {
  created: boolean
  allocation: Allocation
}

/**
 * Gives a node its address: a new one (`created`), or the one it has (the same request again is always safe).
 * @throws Problem with the code of whatever stands in the way
 */
export async function allocate(context: Context, wish: NewAllocation): Promise<Granted> {
  const request = toRequest(context, wish)
  const outcome = context.dryRun
    ? (await transaction(context.db, true, (trx) => allocateBatch(trx, [request])))[0]!
    : await context.engine.allocations.ask(request)
  return toGranted(outcome, wish)
}

/** The wish as the engine takes it. @throws Problem forbidden, for a name that the caller's token is not good for */
export function toRequest(context: Context, wish: NewAllocation): AllocationRequest {
  assertMayName(context.caller, wish.nodeName)
  return {
    nodeName: wish.nodeName,
    pool: wish.pool ?? null,
    address: wish.address === undefined ? null : canonicalAddress(wish.address),
    patch: {
      ...(wish.displayIp !== undefined && { displayIp: wish.displayIp && canonicalAddress(wish.displayIp) }),
      ...(wish.nodeUid !== undefined && { nodeUid: wish.nodeUid }),
      ...(wish.labels !== undefined && { labels: wish.labels }),
    },
    ...signatureOf(context),
    limitedToken: context.caller.limited ? context.caller.tokenId : null,
  }
}

/** @throws Problem with the code of the refusal, if it is one */
export function toGranted(outcome: AllocationOutcome, wish: NewAllocation): Granted {
  if (outcome.address === null || (outcome.code !== 'created' && outcome.code !== 'existing')) {
    throw refusal(outcome, wish)
  }
  return {
    created: outcome.code === 'created',
    allocation: toAllocation(wish.nodeName, outcome),
  }
}

function refusal(outcome: AllocationOutcome, wish: NewAllocation): Problem {
  const code = outcome.code as ProblemCode
  switch (code) {
    case 'allocation_conflict': {
      const holds = outcome.address === null ? '' : ` ${canonicalAddress(outcome.address)} of pool ${outcome.pool}`
      return new Problem(
        code,
        `The node holds${holds}, not what is asked for. Ask without "pool" and "address" to have what it holds, or release that first.`,
      )
    }
    case 'address_in_use':
      return new Problem(code, 'Another node holds the address. Ask for another one, or for none.')
    case 'address_quarantined':
      return new Problem(
        code,
        'The address was released a short while ago and rests. Ask for another one, or for none.',
      )
    case 'address_reserved':
      return new Problem(code, 'The address is reserved, or it is a network or broadcast address. Ask for another one.')
    case 'address_not_in_pool':
      return new Problem(code, `The address is not in ${wish.pool === undefined ? 'any pool' : `pool ${wish.pool}`}.`)
    case 'pool_exhausted':
      return new Problem(code, 'No address is free. Add a pool, or release what is not needed; then ask again.')
    case 'pool_not_active':
      return new Problem(code, 'The pool hands out no new addresses now. Make it active, or ask for another one.')
    case 'pool_not_found':
      return new Problem(
        code,
        wish.pool === undefined ? "No active pool fits the node's labels." : `There is no pool ${wish.pool}.`,
      )
    case 'forbidden':
      return new Problem(
        code,
        "The token's uses are used up. It still repeats the answer for the nodes that it allocated.",
      )
    default:
      throw new Error(`the engine answered ${outcome.code}`)
  }
}

/**
 * The unique IP of a node, as cloudcore asks for it.
 * @throws Problem node_not_found, also for a node that was released
 */
export async function uniqueIp(context: Context, nodeName: string): Promise<UniqueIp> {
  assertMayName(context.caller, nodeName)
  const row = await context.engine.holdings.ask(nodeName)
  if (!row) throw new Problem('node_not_found', 'No node of this name holds an address.')
  return toUniqueIp(nodeName, row)
}

export function toUniqueIp(nodeName: string, { address, sequence }: { address: string; sequence: number }): UniqueIp {
  return { nodeName, uniqueIp: canonicalAddress(address), sequence }
}

/** @throws Problem allocation_not_found */
export async function getAllocation(context: Context, address: string): Promise<Allocation> {
  const rows = await listAllocations(context, { address: canonicalAddress(address) }, { limit: 1, after: null })
  if (!rows[0]) throw new Problem('allocation_not_found', 'Nobody holds this address, and it is not in quarantine.')
  return rows[0]
}

/** What is not free, by address. */
export async function listAllocations(
  context: Context,
  filter: AllocationFilter,
  page: { limit: number; after: string | null },
): Promise<Allocation[]> {
  return (await withRetries(() => list(context.db, filter, page))).map((row) => toAllocation(row.node_name, row))
}

type Held = Omit<HeldRow, 'node_name'> & { quarantined_until?: Date | null }

export function toAllocation(nodeName: string, row: Held): Allocation {
  return {
    nodeName,
    uniqueIp: canonicalAddress(row.address),
    displayIp: row.display_ip,
    pool: row.pool,
    state: row.state,
    sequence: row.sequence,
    nodeUid: row.node_uid,
    labels: row.labels ?? {},
    allocatedAt: row.allocated_at.toISOString(),
    registeredAt: row.registered_at?.toISOString() ?? null,
    quarantinedUntil: row.quarantined_until?.toISOString() ?? null,
  }
}
