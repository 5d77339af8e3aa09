import { findingsOf } from '../../src/core/findings.js'
import type { Allocated, Cluster, ClusterNode, Held, Memory } from '../../src/core/pictures.js'
import type { Sighting } from '../../src/core/sightings.js'

// Pictures in a few words, for tests of what is found in them.

export const MINUTE = 60_000
export const DAY = 86_400_000
export const patience = 7 * DAY
export const now = 1_800_000_000_000
const machine = { machineId: '', systemUuid: '', bootId: '' }

export function edge(name: string, internalIps: string[], podCidrs: string[] = []): ClusterNode {
  return { name, isEdge: true, internalIps, podCidrs, machine }
}

export function server(name: string, internalIps: string[], podCidrs: string[] = []): ClusterNode {
  return { ...edge(name, internalIps, podCidrs), isEdge: false }
}

export function holds(nodeName: string, uniqueIp: string, state: Held['state'] = 'registered', age = DAY): Held {
  return { nodeName, uniqueIp, state, age, displayIp: null, nodeUid: null }
}

export function seen(name: string, more: Partial<Sighting>): Memory['sightings'] {
  const nothing = { addresses: [], machines: [], lastSeen: null, absentSince: null, absences: 0 }
  return new Map([[name, { name, ...nothing, ...more }]])
}

export interface Pictures {
  cluster?: Partial<Cluster>
  allocated?: Partial<Allocated>
  sightings?: Memory['sightings']
}

export function found({ cluster, allocated, sightings = new Map() }: Pictures) {
  return findingsOf(
    { nodes: [], networks: [], references: [], ...cluster },
    { pools: [{ name: 'edge', cidr: '10.77.0.0/24' }], held: [], networks: [], former: [], ...allocated },
    { now, sightings },
    patience,
  )
}

export const service = { kind: 'Service' as const, namespace: 'shop', name: 'front' }
