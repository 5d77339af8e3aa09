import type { Asker } from '../cluster/connection.js'
import { nodeReports } from '../cluster/node-reports.js'
import { type FieldError, Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import { type Holding, holdings } from '../store/allocations.js'
import { holdersWithLabels, type NewRunNode } from '../store/readdress.js'
import { withRetries } from '../store/transaction.js'
import { askCluster } from './ask-cluster.js'
import type { Context } from './context.js'

/** How many names one statement is asked about. */
const CHUNK = 1_000

/**
 * The nodes that hold a unique IP and report another address, by name: of those named, of those with these labels, or of
 * all. Of a named one it does not matter whether it reports an address yet.
 * @throws Problem readdress_not_possible, with each name that is not in the cluster or holds nothing; cluster_unavailable
 */
export async function chosenNodes(
  context: Context,
  cluster: Asker,
  choice: { nodeNames?: readonly string[] | undefined; labels?: Record<string, string> | undefined },
): Promise<NewRunNode[]> {
  const { nodeNames, labels } = choice
  const reports = await askCluster(nodeReports(cluster))
  const names =
    nodeNames ?? (labels ? await withRetries(() => holdersWithLabels(context.db, labels)) : [...reports.keys()])
  const held = await whatTheyHold(context, names)
  if (nodeNames)
    refuseImpossible(
      nodeNames,
      (name) => reports.has(name),
      (name) => held.has(name),
    )
  return [...new Set(names)].sort().flatMap((nodeName): NewRunNode[] => {
    const [own, report] = [held.get(nodeName), reports.get(nodeName)]
    if (!own || !report) return []
    const uniqueIp = canonicalAddress(own.address)
    const reportedIp = report.internalIps[0] ?? null
    if (report.internalIps.includes(uniqueIp) || (reportedIp === null && !nodeNames)) return []
    return [{ nodeName, uniqueIp, reportedIp }]
  })
}

async function whatTheyHold(context: Context, names: readonly string[]): Promise<Map<string, Holding>> {
  const held = new Map<string, Holding>()
  for (let at = 0; at < names.length; at += CHUNK) {
    const rows = await withRetries(() => holdings(context.db, [...new Set(names.slice(at, at + CHUNK))]))
    for (const row of rows) held.set(row.node_name, row)
  }
  return held
}

function refuseImpossible(
  names: readonly string[],
  isInCluster: (name: string) => boolean,
  holds: (name: string) => boolean,
): void {
  const errors = names.flatMap((name, index): FieldError[] => {
    const path = `/nodeNames/${index}`
    if (!holds(name)) return [{ path, message: `${name} holds no unique IP.` }]
    return isInCluster(name) ? [] : [{ path, message: `${name} is not in the cluster.` }]
  })
  if (errors.length === 0) return
  throw new Problem('readdress_not_possible', `${errors.length} of ${names.length} nodes cannot be re-addressed.`, {
    errors,
  })
}
