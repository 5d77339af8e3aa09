import { type Finding, listOf, ofNode } from './finding.js'
import { overlaps } from './network-overlaps.js'
import type { Allocated, Cluster, ClusterNode, Held, Memory } from './pictures.js'
import { twoMachines } from './sightings.js'
import { staleReferences } from './stale-references.js'
import { parsePools, suspicions } from './suspicious-addresses.js'

/**
 * A node that was just registered may not be in the cluster's picture yet: cloudcore asks before it makes the Node, and
 * the hook is asked before it is kept. So long (ms) it is not missed.
 */
const ON_ITS_WAY = 60_000

/**
 * Everything that does not fit together now: what the cluster says against what is allocated. Pure, each finding once, and
 * with the same words as long as nothing changes, in whatever order the pictures come.
 * @param patience how long (ms) a node may take to join
 */
export function findingsOf(cluster: Cluster, allocated: Allocated, memory: Memory, patience: number): Finding[] {
  const nodes = [...cluster.nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
  const byName = new Map(nodes.map((node) => [node.name, node]))
  const held = new Map(allocated.held.map((one) => [one.nodeName, one]))
  const holders = new Map(allocated.held.map((one) => [one.uniqueIp, one.nodeName]))
  const pools = parsePools(allocated.pools)
  return [
    ...mismatches(nodes, held),
    ...absences(allocated.held, byName, memory, patience),
    ...clashes(nodes),
    ...claims(nodes, memory),
    ...suspicions(nodes, allocated.networks, pools, holders),
    ...overlaps(nodes, cluster.networks, pools, holders),
    ...staleReferences(cluster.references, byName, held, holders, allocated.former, memory.sightings.values()),
  ]
}

function mismatches(nodes: readonly ClusterNode[], held: ReadonlyMap<string, Held>): Finding[] {
  return nodes.flatMap(({ name, isEdge, internalIps }): Finding[] => {
    const own = held.get(name)
    if (own === undefined) {
      if (!isEdge) return []
      const message =
        'It is an edge node and holds no unique IP: nobody announced it, or it was released. Allocate for it, then readdress it.'
      return [ofNode(name, 'unknown_node', message)]
    }
    if (internalIps.length === 0 || internalIps.includes(own.uniqueIp)) return []
    const message = `Its InternalIP is ${internalIps.join(', ')}, and its unique IP is ${own.uniqueIp}. Readdress it, or join it again with that.`
    return [ofNode(name, 'address_mismatch', message)]
  })
}

function absences(
  held: readonly Held[],
  nodes: ReadonlyMap<string, ClusterNode>,
  { now, sightings }: Memory,
  patience: number,
): Finding[] {
  return held.flatMap(({ nodeName, uniqueIp, state, age }): Finding[] => {
    if (nodes.has(nodeName)) return []
    const lastSeen = sightings.get(nodeName)?.lastSeen ?? null
    // Since it was given this address, that is: whoever is announced again has yet to join again.
    const wasThere = state === 'registered' ? age >= ON_ITS_WAY : lastSeen !== null && lastSeen >= now - age
    if (wasThere) {
      const message = `It is not in the cluster any more, and still holds ${uniqueIp}. Release it, if it does not come back.`
      return [ofNode(nodeName, 'node_gone', message)]
    }
    if (state === 'registered' || age < patience) return []
    const message = `It has held ${uniqueIp} for more than ${spanOf(patience)} and has not joined with it. Join it, or release it.`
    return [ofNode(nodeName, 'never_joined', message)]
  })
}

function clashes(nodes: readonly ClusterNode[]): Finding[] {
  const sharers = new Map<string, string[]>()
  for (const { name, internalIps } of nodes) {
    for (const address of new Set(internalIps)) {
      const names = sharers.get(address)
      if (names) names.push(name)
      else sharers.set(address, [name])
    }
  }
  return nodes.flatMap(({ name, internalIps }): Finding[] => {
    const shared = internalIps.find((address) => sharers.get(address)!.length > 1)
    if (shared === undefined) return []
    const names = sharers.get(shared)!
    // Thousands may share one address: no more of them are looked at than are shown.
    const others = names.slice(0, 6).filter((other) => other !== name)
    const message = `Its InternalIP ${shared} is also that of ${listOf(others, names.length - 1)}: whoever asks it for metrics hears the one that connected last. Readdress the edge nodes among them.`
    return [ofNode(name, 'duplicate_internal_ip', message)]
  })
}

function claims(nodes: readonly ClusterNode[], { now, sightings }: Memory): Finding[] {
  return nodes.flatMap(({ name }): Finding[] => {
    const two = twoMachines(sightings.get(name)?.machines ?? [], now)
    if (two === undefined) return []
    const [one, other] = two.sort()
    const message = `Two machines report under this name by turns, ${one} and ${other} (machine, system or boot ID). Join one of them again under another name.`
    return [ofNode(name, 'name_claimed_twice', message)]
  })
}

function spanOf(ms: number): string {
  for (const [length, unit] of [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
  ] as const) {
    const count = Math.floor(ms / length)
    if (count > 0) return `${count} ${unit}${count === 1 ? '' : 's'}`
  }
  return 'a moment'
}
