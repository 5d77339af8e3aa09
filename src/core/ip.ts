// Reading and writing addresses and CIDRs. Everything else in the program works on the numbers this file makes.
//
// Strictness is a matter of safety here: `010.0.0.1` is 8.0.0.1 to one library and 10.0.0.1 to another, so an address
// that two programs may read differently is refused, never guessed. Messages never repeat an address that was sent:
// they also reach callers that must not be able to use an answer as an echo.

import { Address6 } from 'ip-address'

/** The IP version. */
export type Family = 4 | 6

/** One address: its number as an unsigned integer of 32 (IPv4) or 128 bits (IPv6). */
export interface Address {
  readonly family: Family
  readonly value: bigint
}

/** A network: `first` and `last` are its lowest and highest address, both inclusive. */
export interface Cidr {
  readonly family: Family
  readonly first: bigint
  readonly last: bigint
  readonly prefix: number
}

/** The text is not what it should be. The message is for people: what is wrong, and the way out. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
}

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
const IPV4 = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`)

/** The longest spelling of an address: six groups of four, and a dotted quad of fifteen characters. */
const LONGEST_ADDRESS = 45

/** How many bits an address of this family has. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/**
 * Reads one address, IPv4 as four decimal parts, IPv6 in any spelling of RFC 4291.
 * @throws {AddressError} for all else: leading zeros, short forms, numbers, white space, prefixes, zones, IPv4-mapped IPv6
 */
export function parseAddress(text: string): Address {
  const octets = IPV4.exec(text)
  if (octets === null) return { family: 6, value: parseIpv6(text).bigInt() }
  let value = 0n
  for (let i = 1; i <= 4; i++) value = (value << 8n) | BigInt(octets[i]!)
  return { family: 4, value }
}

/** The one canonical text of an address: dotted decimal, or RFC 5952 (always in hex, also where IPv4 is embedded). */
export function formatAddress({ family, value }: Address): string {
  if (value < 0n || value >> BigInt(bitsOf(family)) !== 0n)
    throw new RangeError(`not an IPv${family} address: ${value}`)
  if (family === 6) return Address6.fromBigInt(value).correctForm()
  return `${value >> 24n}.${(value >> 16n) & 255n}.${(value >> 8n) & 255n}.${value & 255n}`
}

/**
 * Checks an address and answers its canonical text.
 * Strict IPv4 has only one spelling, so the hot path is one regular expression and no arithmetic.
 * @throws {AddressError} as parseAddress does
 */
export function canonicalAddress(text: string): string {
  return IPV4.test(text) ? text : parseIpv6(text).correctForm()
}

/**
 * Reads a network such as `10.0.0.0/24`. Its address must be the first one of the network.
 * @throws {AddressError} as parseAddress does, and without a prefix, with one that is out of range, or with host bits set
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf('/')
  if (slash === -1) throw new AddressError('A network is meant, with its prefix, as in 10.0.0.0/24 or 2001:db8::/64.')
  const { family, value } = parseAddress(text.slice(0, slash))
  const bits = bitsOf(family)
  const length = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits) {
    throw new AddressError(`The prefix of an IPv${family} network is a whole number from 0 to ${bits}.`)
  }
  const prefix = Number(length)
  const hostMask = (1n << BigInt(bits - prefix)) - 1n
  const cidr: Cidr = { family, first: value & ~hostMask, last: value | hostMask, prefix }
  if (cidr.first !== value) {
    throw new AddressError(
      `${formatAddress({ family, value })}/${prefix} has host bits set; the network is ${formatCidr(cidr)}.`,
    )
  }
  return cidr
}

/** The network that is this one address. */
export function hostOf({ family, value }: Address): Cidr {
  return { family, first: value, last: value, prefix: bitsOf(family) }
}

/** As parseAddress; undefined for what is none: of what others wrote, one text must not hide all the rest. */
export function addressOf(text: string): Address | undefined {
  return orNothing(() => parseAddress(text))
}

/** As parseCidr; undefined for what is none. */
export function cidrOf(text: string): Cidr | undefined {
  return orNothing(() => parseCidr(text))
}

function orNothing<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof AddressError) return undefined
    throw error
  }
}

/** The canonical text of a network. */
export function formatCidr({ family, first, prefix }: Cidr): string {
  return `${formatAddress({ family, value: first })}/${prefix}`
}

/** Whether the address lies in the network; never across families. */
export function cidrContains(cidr: Cidr, { family, value }: Address): boolean {
  return cidr.family === family && cidr.first <= value && value <= cidr.last
}

/** Whether the two networks have an address in common. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last
}

/** Whether every address of `inner` lies in `outer`; a network encloses itself. */
export function cidrEncloses(outer: Cidr, inner: Cidr): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last
}

/**
 * Whether some program or person would read this text as an address, also in spellings that parseAddress refuses:
 * up to four numbers between dots (decimal, octal or hex, whatever their size), and IPv6 with brackets, zone or prefix.
 */
export function isReadableAsAddress(text: string): boolean {
  const bare = text.trim().replace(/\/\d*$/, '')
  // inet_aton takes one to four numbers, and a URL parser also the trailing dot.
  if (/^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?$/i.test(bare)) return true
  return bare.includes(':') && Address6.isValid(bare.replace(/^\[(.*)\]$/, '$1'))
}

function parseIpv6(text: string): Address6 {
  if (text.length > LONGEST_ADDRESS || !text.includes(':') || /[\s/%]/.test(text)) throw refusal(text)
  const address = readIpv6(text)
  // ::ffff:0:0/96, however it is spelled: the same node would be found under one spelling and not under the other.
  if (address.bigInt() >> 32n === 0xffffn) {
    throw new AddressError('An IPv4-mapped IPv6 address stands for an IPv4 address; write that one, as in 10.0.0.1.')
  }
  return address
}

function readIpv6(text: string): Address6 {
  try {
    return new Address6(text)
  } catch {
    // The library's own messages repeat the text, and some carry HTML.
    throw refusal(text)
  }
}

/** Says what is wrong with a text that is no address. Most particular first. */
function refusal(text: string): AddressError {
  return new AddressError(refusalText(text))
}

function refusalText(text: string): string {
  if (text === '') return 'An IP address is missing; write one such as 10.0.0.1 or 2001:db8::1.'
  if (/\s/.test(text)) return 'An IP address has no white space in or around it; remove it.'
  if (text.includes('/')) return 'A single address is meant, not a network; leave out the slash and the prefix.'
  if (text.includes('%')) return 'A zone id (% and what follows) is valid on one machine only; leave it out.'
  if (text.includes(':')) {
    return /[:.]0[0-9]+(\.|$)/.test(text) && text.includes('.')
      ? 'A decimal part with a leading zero may be read as octal; write it without the zero.'
      : 'This is not an IPv6 address; write up to eight groups of hex digits, as in 2001:db8::1.'
  }
  if (/^[0-9]+$/.test(text)) return 'A number is not an address; write four parts with dots, as in 10.0.0.1.'
  if (/^[0-9]+(\.[0-9]+)*$/.test(text)) {
    if (/(^|\.)0[0-9]/.test(text)) return 'A part with a leading zero may be read as octal; write it without the zero.'
    if (text.split('.').length !== 4) return 'An IPv4 address has four parts; write all of them, as in 10.0.0.1.'
    return 'Each part of an IPv4 address is a number from 0 to 255.'
  }
  if (/^0x/i.test(text)) return 'Hex is not taken for IPv4; write four decimal parts, as in 10.0.0.1.'
  return 'This is not an IP address; write IPv4 as in 10.0.0.1, or IPv6 as in 2001:db8::1.'
}
