import { randomBytes } from 'node:crypto'
import { knowsJobs } from '../cluster/config-update-jobs.js'
import type { Asker } from '../cluster/connection.js'
import { nodeReport } from '../cluster/node-reports.js'
import { Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import type { ReaddressNodeState } from '../core/readdress.js'
import type { NewReaddress, NodeReaddress, Readdress, ReaddressNode } from '../schemas/readdress.js'
import * as store from '../store/readdress.js'
import { lockRun } from '../store/readdress-steps.js'
import { transaction, withRetries } from '../store/transaction.js'
import { askCluster } from './ask-cluster.js'
import { type Context, signatureOf } from './context.js'
import { noCluster } from './gone-nodes.js'
import { chosenNodes } from './readdress-choice.js'
import { NO_CLUSTER, toReaddress, toReaddressNode } from './readdress-shapes.js'
import { endIfOver } from './readdress-steps.js'

/** How nodes take their turns, as far as the caller says. */
type Options = Pick<NewReaddress, 'atOnce' | 'stopAfterFailures' | 'timeoutSeconds' | 'settleSeconds'>

/**
 * Has a node's edgecore report its unique IP: a run of one node. One that is in a run already stays in that, and its run is
 * the answer; for one that reports its unique IP nothing is made.
 * @throws Problem no_cluster, allocation_not_found, node_not_in_cluster, node_not_ready,
 *   readdress_not_supported, cluster_unavailable
 */
export async function readdressNode(context: Context, nodeName: string, wish: NodeReaddress): Promise<Readdress> {
  const cluster = clusterOf(context)
  const held = await context.engine.holdings.ask(nodeName)
  if (!held) throw new Problem('allocation_not_found', 'The node holds no unique IP. Allocate one for it first.')
  const [already] = await withRetries(() => store.runsOf(context.db, [nodeName]))
  if (already) return getReaddress(context, already.run_id)
  const seen = await askCluster(nodeReport(cluster, nodeName))
  if (!seen) throw new Problem('node_not_in_cluster', 'The cluster has no Node of this name.')
  const uniqueIp = canonicalAddress(held.address)
  if (seen.internalIps.includes(uniqueIp)) return nothingToDo(context, wish)
  if (!seen.isReady) {
    throw new Problem(
      'node_not_ready',
      'The Node is not Ready, and KubeEdge changes Ready nodes only. Nothing was made.',
    )
  }
  await assertSupported(cluster)
  return begin(context, [{ nodeName, uniqueIp, reportedIp: seen.internalIps[0] ?? null }], wish)
}

/**
 * Has the edgecores of many nodes report their unique IPs, so many at a time. Those that do already, or are in a run, are
 * left out; where all that are left are in one, that is the answer: a request that is sent again makes nothing twice.
 * @throws Problem no_cluster, readdress_not_supported, cluster_unavailable; validation_failed (not exactly one
 *   choice); readdress_not_possible (names that are not in the cluster, or hold nothing)
 */
export async function readdressNodes(context: Context, wish: NewReaddress): Promise<Readdress> {
  const { nodeNames, finding, labels, ...options } = wish
  if ([nodeNames, finding, labels].filter((choice) => choice !== undefined).length !== 1) {
    const message = 'Say which nodes by exactly one of "nodeNames", "finding" and "labels".'
    throw new Problem('validation_failed', message, { errors: [{ path: '', message }] })
  }
  const cluster = clusterOf(context)
  await assertSupported(cluster)
  const nodes = await chosenNodes(context, cluster, { nodeNames, labels })
  return nodes.length === 0 ? nothingToDo(context, options) : begin(context, nodes, options)
}

/** @throws Problem readdress_not_found */
export async function getReaddress(context: Pick<Context, 'db'>, id: string): Promise<Readdress> {
  const row = await withRetries(() => store.findRun(context.db, id))
  if (!row) throw runNotFound()
  return toReaddress(row)
}

/** A page of runs, newest first. */
export function listReaddress(
  context: Context,
  page: { limit: number; before: number | null },
): Promise<store.RunRow[]> {
  return withRetries(() => store.listRuns(context.db, page))
}

/** A page of a run's nodes, by their turns. @throws Problem readdress_not_found */
export async function listReaddressNodes(
  context: Context,
  id: string,
  filter: { state?: ReaddressNodeState },
  page: { limit: number; after: number | null },
): Promise<{ key: number; node: ReaddressNode }[]> {
  return withRetries(async () => {
    if (!(await store.findRun(context.db, id))) throw runNotFound()
    const rows = await store.listRunNodes(context.db, id, filter, page)
    return rows.map((row) => ({ key: row.position, node: toReaddressNode(id, row, context.cluster !== undefined) }))
  })
}

/**
 * Whoever waits in a run does not begin; those under way are finished, but for those of which nothing can be seen just now:
 * nobody can finish them, and they are given up. To one that has ended it says nothing.
 * @throws Problem readdress_not_found
 */
export function stopReaddress(context: Context, id: string): Promise<Readdress> {
  return transaction(context.db, context.dryRun, async (trx) => {
    if (await lockRun(trx, id)) {
      await store.stopRun(trx, id, signatureOf(context).actor, 'The run was stopped before its turn.')
      const message = 'The run was stopped while nothing could be seen of it, and it may have changed all the same.'
      await store.endUnseen(trx, id, message, context.cluster ? undefined : NO_CLUSTER)
      await endIfOver(trx, id, (await lockRun(trx, id))!)
    }
    return getReaddress({ db: trx }, id)
  })
}

/** Stores a run of those that are in none. */
function begin(context: Context, nodes: readonly store.NewRunNode[], options: Options): Promise<Readdress> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const busy = await store.runsOf(
      trx,
      nodes.map(({ nodeName }) => nodeName),
    )
    const taken = new Set(busy.map((row) => row.node_name))
    const rest = nodes.filter(({ nodeName }) => !taken.has(nodeName))
    const newest = busy.at(-1)
    if (rest.length === 0 && newest) return getReaddress({ db: trx }, newest.run_id)
    const id = randomBytes(6).toString('hex')
    await store.insertRun(trx, { id, ...signatureOf(context), ...withDefaults(options) }, rest)
    const run = await getReaddress({ db: trx }, id)
    return context.dryRun ? { ...run, nodeNames: rest.map(({ nodeName }) => nodeName) } : run
  })
}

function withDefaults({ atOnce = 5, stopAfterFailures = 1, timeoutSeconds = 120, settleSeconds = 12 }: Options) {
  return { atOnce, stopAfterFailures, timeoutSeconds, settleSeconds }
}

function nothingToDo(context: Context, options: Options): Readdress {
  return {
    id: null,
    state: 'done',
    ...withDefaults(options),
    counts: { waiting: 0, running: 0, done: 0, failed: 0, skipped: 0, stopped: 0 },
    createdBy: signatureOf(context).actor,
    requestId: context.requestId,
    stoppedBy: null,
    createdAt: null,
    endedAt: null,
  }
}

/** Whoever asks waits for the answer: the cluster has so long (ms) for all of it. */
const PATIENCE = 4_000

function clusterOf({ cluster }: Context): Asker {
  if (cluster) return cluster.until(AbortSignal.timeout(PATIENCE))
  throw noCluster()
}

async function assertSupported(cluster: Asker): Promise<void> {
  if (await askCluster(knowsJobs(cluster))) return
  throw new Problem(
    'readdress_not_supported',
    'The cluster does not know ConfigUpdateJob (operations.kubeedge.io/v1alpha2), which KubeEdge has from 1.21 on.',
  )
}

function runNotFound(): Problem {
  return new Problem('readdress_not_found', 'There is no run of this id.')
}
