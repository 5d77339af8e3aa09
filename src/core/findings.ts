import { type Cidr, cidrContains, cidrsOverlap, parseAddress, parseCidr } from './ip.js'

// What does not fit together: what the cluster says now against what is allocated. Pure: two pictures in, findings out.
// Whether a finding is new, still so, or over is found by comparing two lists of them, by key.

export const findingKinds = [
  'address_mismatch',
  'unknown_node',
  'node_gone',
  'never_joined',
  'duplicate_internal_ip',
  'suspicious_address',
  'network_overlap',
  'stale_reference',
] as const

export type FindingKind = (typeof findingKinds)[number]

/** What a finding is about. */
export interface Subject {
  kind: 'Node' | 'Pool' | 'Service' | 'EndpointSlice'
  /** Empty for what has none. */
  namespace: string
  name: string
}

export interface Finding {
  kind: FindingKind
  subject: Subject
  /** For people: what is wrong, and the way out. */
  message: string
}

/** The same for a finding as long as it lasts, whatever its message says. */
export function keyOf({ kind, subject }: Finding): string {
  return `${kind}/${subject.kind}/${subject.namespace}/${subject.name}`
}

/** A Node of the cluster. */
export interface ClusterNode {
  name: string
  /** It has the label of edge nodes. */
  isEdge: boolean
  /** Canonical. */
  internalIps: readonly string[]
  podCidrs: readonly string[]
}

/** Something that names addresses: a Service's external IPs, or an EndpointSlice that no selector fills. */
export interface Reference {
  subject: Subject
  addresses: readonly { address: string; nodeName: string | undefined }[]
}

export interface Cluster {
  nodes: readonly ClusterNode[]
  serviceCidrs: readonly string[]
  references: readonly Reference[]
}

/** What a node holds. */
export interface Held {
  nodeName: string
  uniqueIp: string
  state: 'allocated' | 'registered'
  /** Milliseconds since it was allocated. */
  age: number
}

export interface Allocated {
  pools: readonly { name: string; cidr: string }[]
  held: readonly Held[]
  /** Networks that people declared, as `docker`. */
  networks: readonly { kind: string; cidr: string }[]
}

/** Everything that does not fit together now. `patience` is how long (ms) a node may take to join. */
export function findingsOf(cluster: Cluster, allocated: Allocated, patience: number): Finding[] {
  const nodes = new Map(cluster.nodes.map((node) => [node.name, node]))
  const held = new Map(allocated.held.map((one) => [one.nodeName, one]))
  const holders = new Map(allocated.held.map((one) => [one.uniqueIp, one.nodeName]))
  const pools = allocated.pools.map(({ name, cidr }) => ({ name, cidr: parseCidr(cidr) }))
  return [
    ...mismatches(cluster.nodes, held),
    ...absences(allocated.held, nodes, patience),
    ...clashes(cluster.nodes),
    ...suspicions(cluster.nodes, allocated, pools, holders),
    ...overlaps(cluster, pools, holders),
    ...staleReferences(cluster, pools, holders),
  ]
}

function mismatches(nodes: readonly ClusterNode[], held: ReadonlyMap<string, Held>): Finding[] {
  return nodes.flatMap((node): Finding[] => {
    const own = held.get(node.name)
    if (own === undefined) {
      if (!node.isEdge) return []
      return [about(node, 'unknown_node', 'Nobody announced this edge node. Allocate for it, then readdress it.')]
    }
    if (node.internalIps.length === 0 || node.internalIps.includes(own.uniqueIp)) return []
    const message = `It reports ${node.internalIps.join(', ')}, and its unique IP is ${own.uniqueIp}. Readdress it, or join it again with that.`
    return [about(node, 'address_mismatch', message)]
  })
}

function absences(held: readonly Held[], nodes: ReadonlyMap<string, ClusterNode>, patience: number): Finding[] {
  return held.flatMap((one): Finding[] => {
    if (nodes.has(one.nodeName)) return []
    const subject = { kind: 'Node' as const, namespace: '', name: one.nodeName }
    if (one.state === 'registered') {
      const message = `It was in the cluster and is no more; it still holds ${one.uniqueIp}. Release it, if it does not come back.`
      return [{ kind: 'node_gone', subject, message }]
    }
    if (one.age < patience) return []
    const days = Math.floor(one.age / 86_400_000)
    const message = `It has held ${one.uniqueIp} for ${days} days and never joined. Join it, or release it.`
    return [{ kind: 'never_joined', subject, message }]
  })
}

function clashes(nodes: readonly ClusterNode[]): Finding[] {
  const sharers = new Map<string, ClusterNode[]>()
  for (const node of nodes) {
    for (const address of node.internalIps) sharers.set(address, [...(sharers.get(address) ?? []), node])
  }
  return nodes.flatMap((node): Finding[] => {
    const shared = node.internalIps.find((address) => sharers.get(address)!.length > 1)
    if (shared === undefined) return []
    const others = sharers.get(shared)!.filter(({ name }) => name !== node.name)
    const message = `Its InternalIP ${shared} is also that of ${listOf(others.map(({ name }) => name))}: each answers with the other's metrics. Readdress them.`
    return [about(node, 'duplicate_internal_ip', message)]
  })
}

/** Where Docker, Podman and CRI-O put the host's end of their bridges, unless they are told otherwise. */
const BRIDGES = [...Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.1`), '10.88.0.1', '10.85.0.1']
const UNUSABLE = ['127.0.0.0/8', '169.254.0.0/16', '::1/128', 'fe80::/10'].map(parseCidr)

interface ParsedPool {
  name: string
  cidr: Cidr
}

function suspicions(
  nodes: readonly ClusterNode[],
  { networks }: Allocated,
  pools: readonly ParsedPool[],
  holders: ReadonlyMap<string, string>,
): Finding[] {
  const podCidrs = nodes.flatMap((node) => node.podCidrs.map(parseCidr))
  const docker = networks.filter(({ kind }) => kind === 'docker' || kind === 'pod').map(({ cidr }) => parseCidr(cidr))
  return nodes
    .filter(({ isEdge }) => isEdge)
    .flatMap((node): Finding[] => {
      for (const text of node.internalIps) {
        const address = addressOf(text)
        if (address === undefined) continue
        const within = (cidrs: readonly Cidr[]) => cidrs.some((cidr) => cidrContains(cidr, address))
        const pool = pools.find(({ cidr }) => cidrContains(cidr, address))
        if (pool !== undefined && holders.get(text) !== node.name) {
          const owner = holders.get(text)
          const whose = owner === undefined ? 'and nobody gave it to this node' : `and ${owner} holds it`
          const message = `It reports ${text}, which lies in pool ${pool.name}, ${whose}: maybe a copied disk. Readdress it.`
          return [about(node, 'suspicious_address', message)]
        }
        if (pool === undefined && (within(UNUSABLE) || within(podCidrs) || within(docker) || BRIDGES.includes(text))) {
          const message = `It reports ${text}, which looks like a bridge's or like no address of a network. Readdress it, or set modules.edged.nodeIP.`
          return [about(node, 'suspicious_address', message)]
        }
      }
      return []
    })
}

function overlaps(
  { nodes, serviceCidrs }: Cluster,
  pools: readonly ParsedPool[],
  holders: ReadonlyMap<string, string>,
): Finding[] {
  const networks = [
    ...serviceCidrs.map((cidr) => ({ what: `the services' ${cidr}`, cidr: parseCidr(cidr) })),
    ...nodes.flatMap(({ name, podCidrs }) =>
      podCidrs.map((cidr) => ({ what: `${name}'s pods ${cidr}`, cidr: parseCidr(cidr) })),
    ),
    // An edge node's own trouble is told of that node.
    ...nodes
      .filter(({ isEdge }) => !isEdge)
      .flatMap(({ name, internalIps }) =>
        internalIps
          .filter((address) => holders.get(address) !== name && addressOf(address) !== undefined)
          .map((address) => ({ what: `${name}'s address ${address}`, cidr: hostOf(address) })),
      ),
  ]
  return pools.flatMap((pool): Finding[] => {
    const met = networks.filter(({ cidr }) => cidrsOverlap(pool.cidr, cidr)).map(({ what }) => what)
    if (met.length === 0) return []
    const subject = { kind: 'Pool' as const, namespace: '', name: pool.name }
    return [{ kind: 'network_overlap', subject, message: `It overlaps ${listOf(met)}. Drain it, and use another one.` }]
  })
}

function staleReferences(
  { nodes, references }: Cluster,
  pools: readonly ParsedPool[],
  holders: ReadonlyMap<string, string>,
): Finding[] {
  const present = new Map(nodes.map((node) => [node.name, node]))
  return references.flatMap(({ subject, addresses }): Finding[] => {
    const stale = addresses.filter(({ address, nodeName }) => {
      const node = nodeName === undefined ? undefined : present.get(nodeName)
      if (node !== undefined) return !node.internalIps.includes(address) && holders.get(address) !== nodeName
      const parsed = addressOf(address)
      return parsed !== undefined && !holders.has(address) && pools.some(({ cidr }) => cidrContains(cidr, parsed))
    })
    if (stale.length === 0) return []
    const names = stale.map(({ address, nodeName }) => (nodeName ? `${address} for ${nodeName}` : address))
    return [{ kind: 'stale_reference', subject, message: `It names ${listOf(names)}, which its node no longer has.` }]
  })
}

function about(node: ClusterNode, kind: FindingKind, message: string): Finding {
  return { kind, subject: { kind: 'Node', namespace: '', name: node.name }, message }
}

/** A few of them by name, the others by number. */
function listOf(names: readonly string[]): string {
  const [shown, more] = [names.slice(0, 5), names.length - 5]
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}

function hostOf(address: string): Cidr {
  return parseCidr(`${address}/${address.includes(':') ? 128 : 32}`)
}

function addressOf(text: string) {
  try {
    return parseAddress(text)
  } catch {
    return undefined
  }
}
