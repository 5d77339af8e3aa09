import { sweepPool } from '../store/allocations.js'
import type { Executor } from '../store/database.js'
import { poolsToSweep } from '../store/pools.js'

/** How many addresses one transaction frees: it holds the pool's lock meanwhile, so it must be short. */
const CHUNK = 200

/**
 * Housekeeping: removes the rows of addresses whose quarantine is over, and gives the addresses back to the free
 * ranges. Nothing waits for it: an address is free when its time has come, swept or not.
 * @returns how many were freed
 */
export async function sweep(db: Executor, signal: AbortSignal): Promise<number> {
  let total = 0
  for (const { id } of await poolsToSweep(db)) {
    let freed: number
    do {
      if (signal.aborted) return total
      freed = await sweepPool(db, id, CHUNK, { actor: 'system', requestId: null, patient: false })
      total += freed
    } while (freed === CHUNK)
  }
  return total
}
