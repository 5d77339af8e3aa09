import { type Finding, keyOf, listOf } from './finding.js'
import type { ClusterNode, Held, Holding, Reference } from './pictures.js'
import type { Sighting } from './sightings.js'

type Named = Reference['addresses'][number]

/**
 * Services and EndpointSlices that name an address which its node had, and has no more. An address that no node ever had
 * is somebody else's business. One that names no node means the node that held the address when it was last written; where
 * none did, it is good as long as any node has it. What a node has at its site, its display IP, it has.
 */
export function staleReferences(
  references: readonly Reference[],
  nodes: ReadonlyMap<string, ClusterNode>,
  held: ReadonlyMap<string, Held>,
  holders: ReadonlyMap<string, string>,
  former: readonly Holding[],
  sightings: Iterable<Sighting>,
): Finding[] {
  if (references.length === 0) return []
  const formerHolders = formerOf(references, former, sightings)
  const holdings = new Map<string, Holding[]>()
  for (const one of former) {
    const same = holdings.get(one.address)
    if (same) same.push(one)
    else holdings.set(one.address, [one])
  }
  const displayed = new Set([...held.values()].map(({ displayIp }) => displayIp))
  const reported = new Set([...nodes.values()].flatMap(({ internalIps }) => internalIps))

  const meantBy = (writtenAt: number, { address, nodeName }: Named): string | undefined =>
    nodeName ??
    holdings.get(address)?.find(({ from, until }) => from <= writtenAt && writtenAt < (until ?? Infinity))?.nodeName
  const isStale = (writtenAt: number, named: Named): boolean => {
    const { address, nodeName } = named
    const holder = holders.get(address)
    const meant = meantBy(writtenAt, named)
    if (meant === undefined) {
      const isSomebodys = holder !== undefined || reported.has(address) || displayed.has(address)
      return !isSomebodys && formerHolders(address).size > 0
    }
    if (holder === meant || nodes.get(meant)?.internalIps.includes(address)) return false
    if (held.get(meant)?.displayIp === address) return false
    return nodeName === undefined || holder !== undefined || formerHolders(address).has(nodeName)
  }
  const nowOf = (name: string): string => {
    // What it reports is what reaches it; a unique IP that it has yet to report does not.
    const now = nodes.get(name)?.internalIps[0]
    return `${name}, ${now === undefined ? 'which has none now' : `now ${now}`}`
  }
  const wordsFor = (writtenAt: number, named: Named): string => {
    const meant = meantBy(writtenAt, named)
    const names = meant === undefined ? [...formerHolders(named.address)].sort() : [meant]
    return `${named.address} (${listOf(names.map(nowOf))})`
  }

  return merged(references).flatMap(({ subject, writtenAt, addresses }): Finding[] => {
    const stale = [
      ...new Set(addresses.flatMap((one) => (isStale(writtenAt, one) ? [wordsFor(writtenAt, one)] : []))),
    ].sort()
    if (stale.length === 0) return []
    const message = `It names what its node no longer has: ${listOf(stale)}. Put in the present address, or take it out.`
    return [{ kind: 'stale_reference', subject, message }]
  })
}

/** Who had an address that is named: as unique IP, or as what it reported. */
function formerOf(
  references: readonly Reference[],
  former: readonly Holding[],
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
  const bySubject = new Map<string, Omit<Reference, 'addresses'> & { addresses: Named[] }>()
  for (const { subject, writtenAt, addresses } of references) {
    const key = keyOf({ kind: 'stale_reference', subject })
    const one = bySubject.get(key)
    if (one) {
      one.addresses.push(...addresses)
      one.writtenAt = Math.max(one.writtenAt, writtenAt)
    } else bySubject.set(key, { subject, writtenAt, addresses: [...addresses] })
  }
  return [...bySubject.values()]
}
