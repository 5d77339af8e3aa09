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
 *   node_still_registered (only `force` releases what the cluster still has or, if that is not known, what is registered)
 */
export function decideRelease(
  found: Releasable | undefined,
  wish: {
    meant: ((sequence: number) => boolean) | undefined
    force: boolean
    /** Whether the cluster has the node, where that is known. */
    inCluster: boolean | undefined
  },
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
  if ((wish.inCluster ?? found.state === 'registered') && !wish.force) throw stillThere(wish.inCluster)
  return 'release'
}

/**
 * What may not be taken from a node that still uses it.
 * @param inCluster undefined: it is registered, and the cluster does not say
 */
export function stillThere(inCluster: boolean | undefined): Problem {
  const why = inCluster ? 'The node is in the cluster.' : 'The node is registered, and no cluster says that it is gone.'
  return new Problem('node_still_registered', `${why} Remove it from there first, or send this again with ?force=true.`)
}
