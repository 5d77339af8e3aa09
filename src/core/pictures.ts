import type { Subject } from './finding.js'
import type { Machine, Sighting } from './sightings.js'

// The pictures that findings are found in: what the cluster says now, what is allocated, and what was seen before.

/** A Node of the cluster. */
export interface ClusterNode {
  name: string
  /** It has the label of edge nodes. */
  isEdge: boolean
  /** Canonical; what is no address stays as it is. */
  internalIps: readonly string[]
  podCidrs: readonly string[]
  machine: Machine
}

/** Something that names addresses: a Service, by external IP or load balancer, or an EndpointSlice that no selector fills. */
export interface Reference {
  subject: Subject
  /** When it was last written, in milliseconds since 1970. */
  writtenAt: number
  addresses: readonly {
    address: string
    /** The node that it is said to be of, where that is said. */
    nodeName: string | undefined
  }[]
}

/** A whole picture: what could not be read, or was read as empty without being so, is none, and nothing is found in it. */
export interface Cluster {
  nodes: readonly ClusterNode[]
  /** What the cluster tells of its own networks, but for `podCidrs`. */
  networks: readonly { kind: 'pod' | 'service'; cidr: string }[]
  references: readonly Reference[]
}

/** What a node holds. */
export interface Held {
  nodeName: string
  uniqueIp: string
  state: 'allocated' | 'registered'
  /** For how long (ms) it has been in this state. */
  age: number
  displayIp: string | null
  /** The Node's, as far as it was told. */
  nodeUid: string | null
}

/** That a node held an address: from then until then (milliseconds since 1970), or until now. */
export interface Holding {
  address: string
  nodeName: string
  from: number
  until: number | null
}

export interface Allocated {
  pools: readonly { name: string; cidr: string }[]
  held: readonly Held[]
  /** Networks that are declared, as `docker`. */
  networks: readonly { kind: string; cidr: string }[]
  /** Who held addresses before, or does now; those that something in the cluster names are enough. */
  former: readonly Holding[]
}

/** What was seen of the nodes before, and now. */
export interface Memory {
  /** The database's clock, in milliseconds since 1970. */
  now: number
  sightings: ReadonlyMap<string, Sighting>
}
