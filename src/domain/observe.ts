import { canonicalAddress, parseAddress } from '../core/ip.js'
import { bridgeOrNone } from '../core/suspicious-addresses.js'
import { MAX_LABELS } from '../schemas/common.js'
import { lockAllocationOf } from '../store/allocations.js'
import type { Executor } from '../store/database.js'
import { isOfContainers } from '../store/networks.js'
import * as store from '../store/nodes.js'
import { poolThatOverlaps } from '../store/pools.js'
import type { Labels } from '../store/schema.js'
import { transaction, withRetries } from '../store/transaction.js'
import { allocate } from './allocations.js'
import { type Context, signatureOf } from './context.js'
import { noteDrift, register } from './nodes.js'

/** What a node in the cluster tells of itself. */
export interface Report {
  name: string
  /** Unknown in the moment that creates the node. */
  nodeUid: string | undefined
  /** Its InternalIPs, canonical. None: it does not say yet. */
  addresses: readonly string[]
  /** Its labels in the cluster: they say which pools fit a node that nobody announced. */
  labels: Readonly<Labels>
}

/** What to do about a node that nobody announced. */
export type UnknownNodes = 'allocate' | 'warn' | 'ignore'

export interface Wish {
  unknown: UnknownNodes
  /** Who reports another address is given its unique IP in the cluster: so it has joined with it all the same. */
  rewrites: boolean
}

/** What was seen: what the node holds, if anything, and whether it is what it reports. */
export interface Seen {
  uniqueIp: string | null
  reports: 'its own' | 'another' | 'nothing'
}

/**
 * Notes what a node reports: one that reports its unique IP has joined with it, and is registered. Another address is kept
 * as what it reports and, where people gave none, as its display IP, where it may have that at its site.
 * @throws Problem store_unavailable; for a node that has to be given an address, those of allocate(); pool_not_active
 */
export async function observe(context: Context, report: Report, { unknown, rewrites }: Wish): Promise<Seen> {
  const { name, nodeUid, addresses, labels } = report
  const joined = (reportedIp?: string) =>
    register(
      context,
      name,
      { ...(nodeUid !== undefined && { nodeUid }), ...(reportedIp !== undefined && { reportedIp }) },
      { allocate: false, meant: undefined },
    )
  let held = await context.engine.holdings.ask(name)
  if (!held && unknown === 'allocate') {
    await allocate(context, {
      nodeName: name,
      labels: Object.fromEntries(Object.entries(labels).slice(0, MAX_LABELS)),
    })
    held = await context.engine.holdings.ask(name)
  }
  if (!held) return { uniqueIp: null, reports: addresses.length > 0 ? 'another' : 'nothing' }
  const uniqueIp = canonicalAddress(held.address)
  const [first] = addresses
  if (first === undefined) return { uniqueIp, reports: 'nothing' }
  if (addresses.includes(uniqueIp)) {
    // Rewritten, that is our own word come back, and the edge may report what it always did.
    await joined(rewrites ? undefined : uniqueIp)
    return { uniqueIp, reports: 'its own' }
  }
  if (rewrites) await joined(first)
  const node = await withRetries(() => store.findNode(context.db, name))
  if (node && (node.reported_ip !== first || node.display_ip === null)) await noteAnother(context, name, first)
  return { uniqueIp, reports: 'another' }
}

function noteAnother(context: Context, name: string, reported: string): Promise<void> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const node = await store.lockNode(trx, name)
    const held = node && (await lockAllocationOf(trx, name))
    // Released meanwhile: then it is a node that holds nothing, and there is nothing to note.
    if (!held) return
    await noteDrift(context, trx, name, node, held.address, reported)
    if (node.display_ip === null && (await isOfItsSite(trx, reported))) {
      await store.updateNode(trx, name, { displayIp: reported }, signatureOf(context))
    }
  })
}

/** Whether a device may have the address at its site: in a pool it would be somebody's, and a bridge's is everybody's. */
async function isOfItsSite(db: Executor, reported: string): Promise<boolean> {
  if (bridgeOrNone(parseAddress(reported)) !== undefined) return false
  return !(await poolThatOverlaps(db, reported)) && !(await isOfContainers(db, reported))
}
