import { hasNode } from '../cluster/nodes.js'
import { canonicalAddress } from '../core/ip.js'
import { decideRelease } from '../core/lifecycle.js'
import type { Allocation } from '../schemas/allocation.js'
import { type Release, type ReleaseBy, releaseTogether } from '../store/releases.js'
import { transaction } from '../store/transaction.js'
import { toAllocation } from './allocations.js'
import { type Context, type Meant, signatureOf } from './context.js'

/**
 * Takes an address back, by node or by address; it rests in quarantine before somebody else may have it.
 *
 * Nothing is locked while it is decided: what was found is released if it is still so, and looked at again if not. So
 * both steps can be shared with whoever releases at the same moment.
 * @throws Problem allocation_not_found, precondition_failed, node_still_registered
 */
export async function release(
  context: Context,
  by: ReleaseBy,
  wish: { meant: Meant; force: boolean },
): Promise<Allocation> {
  const wanted = 'nodeName' in by ? by : { address: canonicalAddress(by.address) }
  for (;;) {
    const found = await context.engine.releasable.ask(wanted)
    const holder = wish.force || found?.state === 'quarantined' ? undefined : found?.node_name
    const inCluster = holder === undefined ? undefined : await isInCluster(context, holder)
    if (decideRelease(found, { ...wish, inCluster }) === 'done') return toAllocation(found!.node_name, found!)
    const asFound = releaseOf(context, found!)
    const released = context.dryRun
      ? (await transaction(context.db, true, (trx) => releaseTogether(trx, [asFound])))[0]
      : await context.engine.releases.ask(asFound)
    if (released) return toAllocation(released.node_name, released)
  }
}

/** Whether the cluster has the node; undefined where there is no cluster, or it does not answer. */
export async function isInCluster({ cluster }: Context, name: string): Promise<boolean | undefined> {
  return cluster && hasNode(cluster, name)
}

/** What is sent into quarantine in the name of who asks. */
export function releaseOf(
  context: Context,
  { address, sequence, state }: Omit<Release, 'actor' | 'requestId'>,
): Release {
  return { address, sequence, state, ...signatureOf(context) }
}
