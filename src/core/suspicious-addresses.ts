import { type Finding, ofNode } from './finding.js'
import {
  type Address,
  addressOf,
  type Cidr,
  cidrContains,
  cidrOf,
  type Family,
  formatAddress,
  formatCidr,
  hostOf,
  parseCidr,
} from './ip.js'
import type { ClusterNode } from './pictures.js'
import { unusableIn } from './pool.js'
import { RangeSet } from './range-set.js'

// Addresses that edge nodes found by themselves, and should not have: of a bridge, of no network, or another's.

export interface ParsedPool {
  name: string
  cidr: Cidr
}

export function parsePools(pools: readonly { name: string; cidr: string }[]): ParsedPool[] {
  return pools.map(({ name, cidr }) => ({ name, cidr: parseCidr(cidr) }))
}

/** The host's end of the bridges of Docker, Podman, CRI-O and libvirt, where nobody told them otherwise. */
const BRIDGES = new Set([
  ...Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.1`),
  '10.85.0.1',
  '10.88.0.1',
  '10.89.0.1',
  '192.168.122.1',
])

/** Nodes of the cloud choose their addresses for themselves, and they work: only edge nodes are suspected. */
export function suspicions(
  nodes: readonly ClusterNode[],
  networks: readonly { kind: string; cidr: string }[],
  pools: readonly ParsedPool[],
  holders: ReadonlyMap<string, string>,
): Finding[] {
  const ofPods = { 4: once(() => podsOf(nodes, 4)), 6: once(() => podsOf(nodes, 6)) }
  const declared = networks
    .filter(({ kind }) => kind === 'docker' || kind === 'pod')
    .map(({ kind, cidr }) => ({ kind, cidr: parseCidr(cidr) }))
  const reasonFor = (text: string): string | undefined => {
    const address = addressOf(text)
    if (address === undefined) return undefined
    const pool = pools.find(({ cidr }) => cidrContains(cidr, address))
    if (pool !== undefined) {
      const owner = holders.get(text)
      return `it lies in pool ${pool.name}, and ${owner === undefined ? 'nobody' : owner} holds it. Maybe its disk was copied, or its unique IP was released`
    }
    if (ofPods[address.family]().has(address.value)) return 'it lies in a network of pods, as the bridge of a CNI does'
    const network = declared.find(({ cidr }) => cidrContains(cidr, address))
    if (network !== undefined) return `it lies in the ${network.kind} network ${formatCidr(network.cidr)}`
    return bridgeOrNone(address)
  }

  return nodes
    .filter(({ isEdge }) => isEdge)
    .flatMap(({ name, internalIps }): Finding[] => {
      for (const address of internalIps) {
        if (holders.get(address) === name) continue
        const reason = reasonFor(address)
        if (reason === undefined) continue
        const message = `It reports ${address}, which cannot be its own: ${reason}. Set modules.edged.nodeIP to its unique IP, or readdress it.`
        return [ofNode(name, 'suspicious_address', message)]
      }
      return []
    })
}

/** Why no device has this address at its site, as words after "it"; undefined: one may. */
export function bridgeOrNone(address: Address): string | undefined {
  const unusable = unusableIn(hostOf(address))
  if (unusable !== undefined) return `it is ${unusable.what}`
  return BRIDGES.has(formatAddress(address)) ? 'Docker and its like give it to a bridge' : undefined
}

/** All pods' addresses of a family. */
function podsOf(nodes: readonly ClusterNode[], family: Family): RangeSet {
  const texts = nodes.flatMap(({ podCidrs }) => podCidrs.filter((text) => text.includes(':') === (family === 6)))
  return RangeSet.from(texts.flatMap((text) => cidrOf(text) ?? []))
}

/** Most clusters never need it, and it is long to make. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
