import { invalidField, Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import { stillThere } from '../core/lifecycle.js'
import type { Registration, UniqueIp } from '../schemas/allocation.js'
import { MAX_LABELS } from '../schemas/common.js'
import type { Node, NodePatch, NorthboundNode } from '../schemas/node.js'
import { type Holding, lockAllocationOf, markRegistered } from '../store/allocations.js'
import { writeAudit } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import * as store from '../store/nodes.js'
import { poolStateOf } from '../store/pools.js'
import { releaseTogether } from '../store/releases.js'
import { transaction, withRetries } from '../store/transaction.js'
import { allocate, toUniqueIp } from './allocations.js'
import { assertMayName, type Context, type Meant, signatureOf } from './context.js'
import { isInCluster, releaseOf } from './releases.js'

/** Says whether the node is as it was meant; undefined: however it is. What a version is, each side says for itself. */
export type MeantNode = ((row: store.NodeRow) => boolean) | undefined

export async function listNodes(
  context: Context,
  filter: store.NodeFilter,
  page: { limit: number; after: string | null },
): Promise<store.NodeRow[]> {
  return withRetries(() => store.listNodes(context.db, filter, page))
}

/** @throws Problem node_not_found */
export async function getNode(context: Context, name: string): Promise<store.NodeRow> {
  assertMayName(context.caller, name)
  const row = await withRetries(() => store.findNode(context.db, name))
  if (!row) throw nodeNotFound()
  return row
}

/**
 * Changes what people see of a node: display IP, labels (merged; null takes one away).
 * @throws Problem node_not_found, precondition_failed
 */
export function patchNode(context: Context, name: string, patch: NodePatch, meant: MeantNode): Promise<store.NodeRow> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const node = await store.lockNode(trx, name)
    if (meant) expect(node && (await store.findNode(trx, name)), meant)
    if (!node) throw nodeNotFound()
    const change: store.NodeChange = {}
    if (patch.displayIp !== undefined) change.displayIp = patch.displayIp && canonicalAddress(patch.displayIp)
    if (patch.labels !== undefined) change.labels = patch.labels && mergeLabels(node.labels ?? {}, patch.labels)
    if (Object.keys(change.labels ?? {}).length > MAX_LABELS) {
      throw invalidField('/labels', `With those it has there are too many: at most ${MAX_LABELS}.`)
    }
    await store.updateNode(trx, name, change, signatureOf(context))
    return (await store.findNode(trx, name))!
  })
}

/** Labels may have any key that Kubernetes allows, `constructor` too: so never by way of an object's own methods. */
function mergeLabels(old: Record<string, string>, patch: Record<string, string | null>): Record<string, string> {
  const merged = new Map(Object.entries(old))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, value)
  }
  return Object.fromEntries(merged)
}

/**
 * Releases what a node holds, and forgets the node: a later one of its name gets nothing back. The history stays.
 * @throws Problem node_not_found, node_still_registered, precondition_failed
 */
export async function deleteNode(
  context: Context,
  name: string,
  wish: { meant: MeantNode; force: boolean },
): Promise<void> {
  const inCluster = wish.force ? undefined : await isInCluster(context, name)
  return transaction(context.db, context.dryRun, async (trx) => {
    const node = await store.lockNode(trx, name)
    const held = node && (await lockAllocationOf(trx, name))
    const row = node && (await store.findNode(trx, name))
    expect(row, wish.meant)
    if (!row) throw nodeNotFound()
    if (held) {
      if ((inCluster ?? held.state === 'registered') && !wish.force) throw stillThere(inCluster)
      await releaseTogether(trx, [releaseOf(context, held)])
    }
    await store.deleteNode(trx, name)
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'node.deleted',
      nodeName: name,
      before: { displayIp: row.display_ip, nodeUid: row.node_uid, labels: row.labels ?? {} },
    })
  })
}

/**
 * Cloudcore's word that a node has joined. With `allocate`, a node that nobody announced gets an address first. A
 * reported IP that is not the unique IP is drift: stored and audited, never an error.
 * @throws Problem node_not_found, precondition_failed (it holds nothing, or another allocation than was meant),
 *   pool_not_active (its pool is disabled), and those of allocate()
 */
export async function register(
  context: Context,
  name: string,
  report: Registration,
  wish: { allocate: boolean; meant: Meant },
): Promise<UniqueIp> {
  const reportedIp = report.reportedIp && canonicalAddress(report.reportedIp)
  const before = await context.engine.holdings.ask(name)
  if (wish.meant && !(before && wish.meant(before.sequence))) throw stale()
  if (before && nothingToTell(before, report.nodeUid, reportedIp)) return toUniqueIp(name, before)
  if (!before && wish.allocate) {
    const { nodeUid } = report
    const { allocation } = await allocate(context, { nodeName: name, ...(nodeUid !== undefined && { nodeUid }) })
    // What a dry run allocates is gone again; the rest would only meet a node that holds nothing.
    if (context.dryRun) return { nodeName: name, uniqueIp: allocation.uniqueIp, sequence: allocation.sequence }
  }
  return transaction(context.db, context.dryRun, async (trx) => {
    const node = await store.lockNode(trx, name)
    const held = node && (await lockAllocationOf(trx, name))
    if (!held) throw wish.meant ? stale() : nodeNotFound()
    if (wish.meant && !wish.meant(held.sequence)) throw stale()
    if (held.state === 'allocated') {
      const pool = await poolStateOf(trx, held.pool_id)
      if (pool.state === 'disabled') {
        throw new Problem('pool_not_active', `Pool ${pool.name} is disabled: nobody new may register in it.`)
      }
      await markRegistered(trx, held.address)
      await writeAudit(trx, {
        ...signatureOf(context),
        action: 'allocation.registered',
        nodeName: name,
        address: held.address,
        pool: pool.name,
        before: { state: 'allocated', sequence: held.sequence },
        after: { state: 'registered', sequence: held.sequence },
      })
    }
    if (report.nodeUid !== undefined)
      await store.updateNode(trx, name, { nodeUid: report.nodeUid }, signatureOf(context))
    if (reportedIp !== undefined) await noteDrift(context, trx, name, node, held.address, reportedIp)
    const after = (await store.findNode(trx, name))!
    return toUniqueIp(name, { address: after.address!, sequence: after.sequence! })
  })
}

function nothingToTell(
  row: Holding,
  nodeUid: string | null | undefined,
  reportedIp: string | null | undefined,
): boolean {
  if (row.state !== 'registered' || (nodeUid !== undefined && nodeUid !== row.node_uid)) return false
  return reportedIp === undefined || row.reported_ip === driftOf(row.address, reportedIp)
}

/** What is stored of a report: the address, if it is not the one the node should have. */
function driftOf(uniqueIp: string, reportedIp: string | null): string | null {
  return reportedIp === canonicalAddress(uniqueIp) ? null : reportedIp
}

/** Stores and audits what a node reports, where that is not its unique IP. The node is locked. */
export async function noteDrift(
  context: Context,
  trx: Executor,
  name: string,
  node: { reported_ip: string | null },
  uniqueIp: string,
  reportedIp: string | null,
): Promise<void> {
  const drift = driftOf(uniqueIp, reportedIp)
  if (drift === node.reported_ip) return
  if (drift !== null && !context.dryRun) context.engine.observer.drift()
  await store.setReportedIp(trx, name, drift)
  await writeAudit(trx, {
    ...signatureOf(context),
    action: 'node.updated',
    nodeName: name,
    address: uniqueIp,
    before: { reportedIp: node.reported_ip },
    after: { reportedIp: drift },
  })
}

export function toNode(row: store.NodeRow): Node {
  return {
    nodeName: row.name,
    displayIp: row.display_ip,
    uniqueIp: row.address && canonicalAddress(row.address),
    pool: row.pool,
    state: row.state,
    sequence: row.sequence,
    nodeUid: row.node_uid,
    labels: row.labels ?? {},
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}

/** A node as the console's side may see it: made from nothing that tells the unique IP. */
export function toNorthboundNode(row: store.NodeRow): NorthboundNode {
  return {
    name: row.name,
    internalIp: row.display_ip,
    labels: row.labels ?? {},
    state: row.state,
    joinedAt: row.registered_at?.toISOString() ?? null,
  }
}

/**
 * What a node's ETag shows: another one whenever what is told of the node is another. What it holds changes without a
 * change of the node itself, so the allocation is part of it.
 */
export function versionOf({ revision, sequence, state }: store.NodeRow): string {
  return [revision, sequence, state].filter((part) => part !== null).join('-')
}

function expect(row: store.NodeRow | undefined, meant: MeantNode): void {
  if (meant && !(row && meant(row))) throw stale()
}

function stale(): Problem {
  return new Problem('precondition_failed', 'The node is not as If-Match says. Read it again.')
}

function nodeNotFound(): Problem {
  return new Problem('node_not_found', 'There is no such node, or it holds no address.')
}
