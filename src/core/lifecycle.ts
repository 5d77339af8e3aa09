/**
 * What may happen to an allocation. The database refuses every other move by itself (trigger
 * `allocations_move_legally`); here stands what a caller is told.
 *
 *   free ──allocate──▶ allocated ──register──▶ registered
 *    ▲                     │                       │
 *    │                     └───────release─────────┤
 *    │                                             ▼
 *    └──────the quarantine is over──────────── quarantined ──its last node comes back──▶ allocated
 */
import { Problem } from './errors.js'

export const allocationStates = ['allocated', 'registered', 'quarantined'] as const
export type AllocationState = (typeof allocationStates)[number]
/** Of a node that holds an address; what is quarantined is held by nobody. */
export type NodeState = Exclude<AllocationState, 'quarantined'>

/** What a release needs to know of the row it is about; `over` says whether the quarantine has ended. */
export interface Releasable {
  state: AllocationState
  sequence: number
  over: boolean
}

/**
 * Whether a release goes on ('release'), was done before ('done': the same answer again), or is refused.
 * @throws Problem precondition_failed (the sequence that was meant is another), allocation_not_found,
 *   node_still_registered (only `force` releases what is registered)
 */
export function decideRelease(
  found: Releasable | undefined,
  wish: { meant: ((sequence: number) => boolean) | undefined; force: boolean },
): 'release' | 'done' {
  if (!found || (found.state === 'quarantined' && found.over)) {
    if (wish.meant) {
      throw new Problem('precondition_failed', 'The allocation that If-Match names is gone.')
    }
    throw new Problem('allocation_not_found', 'Nothing is allocated here.')
  }
  if (wish.meant && !wish.meant(found.sequence)) {
    throw new Problem(
      'precondition_failed',
      'The allocation is not the one that If-Match names. Read it again, and release it with its present ETag.',
    )
  }
  if (found.state === 'quarantined') {
    return 'done'
  }
  if (found.state === 'registered' && !wish.force) {
    throw new Problem(
      'node_still_registered',
      'The node is registered with this address. Remove it from the cluster first, or release with ?force=true.',
    )
  }
  return 'release'
}
