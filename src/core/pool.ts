// A pool is set arithmetic: its CIDR, less the edges, less what is reserved, less what is held.

import { type Cidr, cidrsOverlap, type Family, formatCidr, parseCidr } from './ip.js'
import { type Range, RangeSet } from './range-set.js'

/** The numbers of a pool, in addresses. `allocated + quarantined + reserved + free = capacity`, always. */
export interface Utilization {
  readonly capacity: bigint
  readonly allocated: bigint
  readonly quarantined: bigint
  readonly reserved: bigint
  readonly free: bigint
}

/** The shortest prefix, so the largest network, that a pool may have. */
const LARGEST_POOL: Record<Family, number> = { 4: 8, 6: 48 }

/** Networks that no node can have a unique IP in, because hosts and routers treat them apart. */
const UNUSABLE: readonly { readonly cidr: Cidr; readonly what: string }[] = [
  { cidr: parseCidr('0.0.0.0/8'), what: '"this network", which is never a destination' },
  { cidr: parseCidr('127.0.0.0/8'), what: 'loopback, which never leaves a host' },
  { cidr: parseCidr('169.254.0.0/16'), what: 'link-local, which no router forwards' },
  { cidr: parseCidr('224.0.0.0/4'), what: 'multicast, which no single node can have' },
  { cidr: parseCidr('240.0.0.0/4'), what: 'reserved, with the limited broadcast address at its end' },
  { cidr: parseCidr('::/128'), what: 'the unspecified address, which is never a destination' },
  { cidr: parseCidr('::1/128'), what: 'loopback, which never leaves a host' },
  // ::ffff:0:0/96 as numbers, because the parser refuses every spelling of it.
  {
    cidr: { family: 6, first: 0xffff_0000_0000n, last: 0xffff_ffff_ffffn, prefix: 96 },
    what: 'IPv4-mapped, which stands for IPv4 addresses',
  },
  { cidr: parseCidr('fe80::/10'), what: 'link-local, which no router forwards' },
  { cidr: parseCidr('ff00::/8'), what: 'multicast, which no single node can have' },
]

/**
 * The addresses of a network that may be handed out: without the IPv4 network and broadcast address (except in /31, /32)
 * and without the IPv6 subnet-router anycast address, its first one (except in /127, /128).
 */
export function usableRange({ family, first, last, prefix }: Cidr): Range {
  if (family === 4) return prefix >= 31 ? { first, last } : { first: first + 1n, last: last - 1n }
  return prefix >= 127 ? { first, last } : { first: first + 1n, last }
}

/** How many addresses of the network may be handed out. */
export function capacity(cidr: Cidr): bigint {
  const { first, last } = usableRange(cidr)
  return last - first + 1n
}

/** The network that no node can have an address in and that this one overlaps, and what it is. */
export function unusableIn(cidr: Cidr): { readonly cidr: Cidr; readonly what: string } | undefined {
  return UNUSABLE.find((unusable) => cidrsOverlap(unusable.cidr, cidr))
}

/** Why a pool may not have this CIDR, as a sentence for people that names the network in the way; null if it may. */
export function cidrRefusal(cidr: Cidr): string | null {
  const text = formatCidr(cidr)
  const hit = unusableIn(cidr)
  if (hit !== undefined) return `${text} overlaps ${formatCidr(hit.cidr)} (${hit.what}); choose another network.`
  const largest = LARGEST_POOL[cidr.family]
  if (cidr.prefix < largest) {
    return `${text} is larger than a pool may be; the largest IPv${cidr.family} pool is a /${largest}.`
  }
  return null
}

/**
 * What is free: usable, not reserved, not held. `held` is every address that is allocated or in quarantine.
 * This is the definition that the free ranges in the database are compared with.
 */
export function freeRanges(cidr: Cidr, reservations: Iterable<Range>, held: Iterable<bigint>): RangeSet {
  return RangeSet.of(usableRange(cidr)).subtract(RangeSet.from(reservations)).subtract(RangeSet.ofValues(held))
}

/**
 * The numbers of a pool. A quarantined address inside a reservation counts once, as reserved, so the caller leaves it
 * out of `quarantinedOutsideReservations`; reserved edges are not in the capacity and not counted.
 * Throws an Error where the counts cannot be true, because wrong numbers would hide that the data are wrong.
 */
export function utilization(counts: {
  cidr: Cidr
  reservations: Iterable<Range>
  allocated: bigint
  quarantinedOutsideReservations: bigint
}): Utilization {
  const { cidr, allocated, quarantinedOutsideReservations: quarantined } = counts
  const total = capacity(cidr)
  const reserved = RangeSet.from(counts.reservations).intersect(RangeSet.of(usableRange(cidr))).size
  const free = total - allocated - quarantined - reserved
  if (allocated < 0n || quarantined < 0n || free < 0n) {
    throw new Error(
      `impossible counts for ${formatCidr(cidr)}: capacity ${total}, allocated ${allocated}, quarantined ${quarantined}, reserved ${reserved}`,
    )
  }
  return { capacity: total, allocated, quarantined, reserved, free }
}
