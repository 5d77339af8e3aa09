import { type Finding, keyOf, listOf } from './finding.js'
import type { Allocated, ClusterNode, Held, Reference } from './pictures.js'
import type { Sighting } from './sightings.js'

/**
 * Services and EndpointSlices that name an address which its node had, and has no more. An address that no node ever had
 * is somebody else's business. One that names no node is good as long as any node has it.
 */
export function staleReferences(
  references: readonly Reference[],
  nodes: ReadonlyMap<string, ClusterNode>,
  held: ReadonlyMap<string, Held>,
  holders: ReadonlyMap<string, string>,
  former: Allocated['former'],
  sightings: Iterable<Sighting>,
): Finding[] {
  if (references.length === 0) return []
  const formerHolders = formerOf(references, former, sightings)
  const reported = new Set([...nodes.values()].flatMap(({ internalIps }) => internalIps))

  const isStale = ({ address, nodeName }: Reference['addresses'][number]): boolean => {
    const holder = holders.get(address)
    if (nodeName === undefined) {
      return holder === undefined && !reported.has(address) && formerHolders(address).size > 0
    }
    if (holder === nodeName || nodes.get(nodeName)?.internalIps.includes(address)) return false
    return holder !== undefined || formerHolders(address).has(nodeName)
  }
  const wordsFor = ({ address, nodeName }: Reference['addresses'][number]): string => {
    const name = nodeName ?? [...formerHolders(address)].sort()[0]!
    const now = held.get(name)?.uniqueIp ?? nodes.get(name)?.internalIps[0]
    return `${address} (${name}, ${now === undefined ? 'which has none now' : `now ${now}`})`
  }

  return merged(references).flatMap(({ subject, addresses }): Finding[] => {
    const stale = [...new Set(addresses.filter(isStale).map(wordsFor))].sort()
    if (stale.length === 0) return []
    const message = `It names what its node no longer has: ${listOf(stale)}. Put in the present address, or take it out.`
    return [{ kind: 'stale_reference', subject, message }]
  })
}

/** Who had an address that is named: as unique IP, or as what it reported. */
function formerOf(
  references: readonly Reference[],
  former: Allocated['former'],
  sightings: Iterable<Sighting>,
): (address: string) => ReadonlySet<string> {
  const named = new Map<string, Set<string>>()
  for (const { addresses } of references) for (const { address } of addresses) named.set(address, new Set())
  for (const { address, nodeName } of former) named.get(address)?.add(nodeName)
  for (const { name, addresses } of sightings) for (const address of addresses) named.get(address)?.add(name)
  return (address) => named.get(address)!
}

/** One reference for each subject. */
function merged(references: readonly Reference[]): Reference[] {
  const bySubject = new Map<string, { subject: Reference['subject']; addresses: Reference['addresses'][number][] }>()
  for (const { subject, addresses } of references) {
    const key = keyOf({ kind: 'stale_reference', subject })
    const one = bySubject.get(key)
    if (one) one.addresses.push(...addresses)
    else bySubject.set(key, { subject, addresses: [...addresses] })
  }
  return [...bySubject.values()]
}
