import { type Finding, listOf } from './finding.js'
import { addressOf, type Cidr, cidrOf, cidrsOverlap, hostOf } from './ip.js'
import type { Cluster, ClusterNode } from './pictures.js'
import type { ParsedPool } from './suspicious-addresses.js'

/** Pools that share addresses with the cluster's own networks, as they are now. */
export function overlaps(
  nodes: readonly ClusterNode[],
  ofCluster: Cluster['networks'],
  pools: readonly ParsedPool[],
  holders: ReadonlyMap<string, string>,
): Finding[] {
  // IPv6 takes long to read, and most clusters have pools of one family.
  const families = new Set(pools.map(({ cidr }) => cidr.family))
  const readable = (text: string) => families.has(text.includes(':') ? 6 : 4)
  const networks: { cidr: Cidr | undefined; what: string }[] = [
    // Several sources may tell of one.
    ...[...new Map(ofCluster.map(({ kind, cidr }) => [`the ${kind}s' ${cidr}`, cidr]))]
      .filter(([, cidr]) => readable(cidr))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, cidr]) => ({ what, cidr: cidrOf(cidr) })),
    ...nodes.flatMap(({ name, podCidrs }) =>
      podCidrs.filter(readable).map((cidr) => ({ what: `${name}'s pods ${cidr}`, cidr: cidrOf(cidr) })),
    ),
    // What an edge node reports is its own trouble, and told of that node.
    ...nodes
      .filter(({ isEdge }) => !isEdge)
      .flatMap(({ name, internalIps }) =>
        internalIps.flatMap((text) => {
          const address = holders.get(text) === name ? undefined : addressOf(text)
          return address === undefined ? [] : [{ what: `${name}'s address ${text}`, cidr: hostOf(address) }]
        }),
      ),
  ]
  return pools.flatMap((pool): Finding[] => {
    const met = networks.filter(({ cidr }) => cidr !== undefined && cidrsOverlap(pool.cidr, cidr))
    if (met.length === 0) return []
    const message = `It overlaps ${listOf(met.map(({ what }) => what))}. Drain it, make another pool, and move its nodes there.`
    return [{ kind: 'network_overlap', subject: { kind: 'Pool', namespace: '', name: pool.name }, message }]
  })
}
