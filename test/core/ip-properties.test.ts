// Addresses and networks against references that share nothing with the code: bytes, lists, and Node's own parser.
import { deepStrictEqual } from 'node:assert'
import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  type Address,
  AddressError,
  type Cidr,
  canonicalAddress,
  cidrContains,
  cidrEncloses,
  cidrsOverlap,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from '../../src/core/ip.js'

const RUNS = { numRuns: 1000 }

const bytes4 = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 })
// Zeros often, so that all the ways to shorten them are met.
const byte = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 255 }) },
)
const bytes16 = fc.array(byte, { minLength: 16, maxLength: 16 }).filter((bytes) => !isMapped(bytes))

function isMapped(bytes: readonly number[]): boolean {
  return bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255
}

/** The number that these bytes are, most significant first. */
function numberOf(bytes: readonly number[]): bigint {
  return BigInt(`0x${bytes.map((b) => b.toString(16).padStart(2, '0')).join('')}`)
}

function groupsOf(bytes: readonly number[]): number[] {
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i]! * 256 + bytes[2 * i + 1]!)
}

/** RFC 5952 by trial: of all the ways to shorten one run of two or more zeros, the longest run, and of these the first. */
function rfc5952(bytes: readonly number[]): string {
  const groups = groupsOf(bytes)
  const hex = (part: number[]) => part.map((g) => g.toString(16)).join(':')
  for (let length = 8; length >= 2; length--) {
    for (let start = 0; start + length <= 8; start++) {
      if (groups.slice(start, start + length).every((g) => g === 0)) {
        return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
      }
    }
  }
  return hex(groups)
}

/** Any RFC 4291 spelling of these bytes: padding, capitals, an embedded dotted quad, any run of zeros left out. */
const spelling = fc
  .record({
    bytes: bytes16,
    pad: fc.integer({ min: 1, max: 4 }),
    upper: fc.boolean(),
    quad: fc.boolean(),
    cut: fc.nat(99),
  })
  .map(({ bytes, pad, upper, quad, cut }) => {
    const parts = groupsOf(quad ? bytes.slice(0, 12) : bytes).map((g) => g.toString(16).padStart(pad, '0'))
    if (quad) parts.push(bytes.slice(12).join('.'))
    const isZero = (part: string) => /^0+$/.test(part)
    const runs = parts.flatMap((_, start) =>
      parts
        .map((_, end) => [start, end + 1] as const)
        .filter(([, end]) => parts.slice(start, end).every(isZero) && end > start),
    )
    const run = runs[cut % (runs.length + 1)]
    const text = run ? `${parts.slice(0, run[0]).join(':')}::${parts.slice(run[1]).join(':')}` : parts.join(':')
    return { bytes, text: upper ? text.toUpperCase() : text }
  })

t.test('IPv4: bytes to text and back is the identity', async () => {
  fc.assert(
    fc.property(bytes4, (bytes) => {
      const text = bytes.join('.')
      const address: Address = { family: 4, value: numberOf(bytes) }
      deepStrictEqual(parseAddress(text), address)
      return formatAddress(address) === text && canonicalAddress(text) === text
    }),
    RUNS,
  )
})

t.test('IPv6: the canonical text is the one that RFC 5952 names', async () => {
  fc.assert(
    fc.property(bytes16, (bytes) => {
      const address: Address = { family: 6, value: numberOf(bytes) }
      const text = formatAddress(address)
      deepStrictEqual(parseAddress(text), address)
      return text === rfc5952(bytes)
    }),
    RUNS,
  )
})

t.test('IPv6: every spelling is the same address', async () => {
  fc.assert(
    fc.property(
      spelling,
      ({ bytes, text }) => parseAddress(text).value === numberOf(bytes) && canonicalAddress(text) === rfc5952(bytes),
    ),
    RUNS,
  )
})

t.test('takes exactly the texts that the operating system takes, less zones and IPv4-mapped', async (t) => {
  const almost = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'0123456789abfF:.:.::%/ x'), maxLength: 24 }),
    // An address with one character changed, removed or added.
    fc
      .tuple(
        fc.oneof(
          spelling.map(({ text }) => text),
          bytes4.map((bytes) => bytes.join('.')),
        ),
        fc.nat(),
        fc.constantFrom(...'019afFg:.%/ -x', ''),
        fc.nat(1),
      )
      .map(([text, at, put, drop]) => {
        const i = at % (text.length + 1)
        return text.slice(0, i) + put + text.slice(i + drop)
      }),
  )
  let taken = 0
  fc.assert(
    fc.property(almost, (text) => {
      let address: Address | null = null
      try {
        address = parseAddress(text)
      } catch (error) {
        if (!(error instanceof AddressError)) throw error
      }
      const family = text.includes('%') ? 0 : isIP(text)
      // A URL writes its host in canonical form.
      const host = family === 6 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text
      if (address === null) return family === 0 || /^::ffff:[\da-f]+:[\da-f]+$/.test(host)
      taken++
      deepStrictEqual([address.family, formatAddress(address), canonicalAddress(text)], [family, host, host])
      return true
    }),
    { numRuns: 5000 },
  )
  t.ok(taken > 300, 'enough of them were addresses')
})

/** A small network at a random place: /29 to /32, or /125 to /128. */
const smallCidr = fc
  .tuple(
    fc.oneof(
      bytes4.map((b): Address => ({ family: 4, value: numberOf(b) })),
      bytes16.map((b): Address => ({ family: 6, value: numberOf(b) })),
    ),
    fc.nat(3),
  )
  .map(([{ family, value }, hostBits]) => {
    const first = (value >> BigInt(hostBits)) << BigInt(hostBits)
    return { family, first, count: 2 ** hostBits, prefix: (family === 4 ? 32 : 128) - hostBits }
  })

/** Two networks that are often near each other. */
const neighbours = fc
  .tuple(smallCidr, smallCidr, fc.integer({ min: -9, max: 9 }), fc.boolean())
  .map(([a, b, shift, near]) => {
    if (!near) return [a, b] as const
    const size = BigInt(b.count)
    const first = ((a.first + BigInt(shift)) / size) * size
    const top = a.family === 4 ? 2n ** 32n : 2n ** 128n
    const prefix = (a.family === 4 ? 32 : 128) - Math.log2(b.count)
    return first < 0n || first + size > top
      ? ([a, b] as const)
      : ([a, { family: a.family, first, count: b.count, prefix }] as const)
  })

type Listed = { family: 4 | 6; first: bigint; count: number; prefix: number }

function parsed({ family, first, prefix }: Listed): Cidr {
  return parseCidr(`${formatAddress({ family, value: first })}/${prefix}`)
}

/** Every address of the network, as text. */
function list({ family, first, count }: Listed): string[] {
  return Array.from({ length: count }, (_, i) => formatAddress({ family, value: first + BigInt(i) }))
}

t.test('CIDR text to numbers and back is the identity, and holds exactly its own addresses', async () => {
  fc.assert(
    fc.property(smallCidr, (listed) => {
      const cidr = parsed(listed)
      const last = listed.first + BigInt(listed.count) - 1n
      deepStrictEqual(cidr, { family: listed.family, first: listed.first, last, prefix: listed.prefix })
      deepStrictEqual(parseCidr(formatCidr(cidr)), cidr)
      const holds = (value: bigint) => cidrContains(cidr, { family: cidr.family, value })
      return (
        list(listed).every((text) => cidrContains(cidr, parseAddress(text))) &&
        !holds(cidr.first - 1n) &&
        !holds(last + 1n)
      )
    }),
    RUNS,
  )
})

t.test('overlap and enclosure are what the lists of addresses say', async (t) => {
  let overlapping = 0
  fc.assert(
    fc.property(neighbours, ([a, b]) => {
      const inA = new Set(list(a))
      const inB = list(b)
      const overlap = inB.some((text) => inA.has(text))
      if (overlap) overlapping++
      return (
        cidrsOverlap(parsed(a), parsed(b)) === overlap &&
        cidrsOverlap(parsed(b), parsed(a)) === overlap &&
        cidrEncloses(parsed(a), parsed(b)) === inB.every((text) => inA.has(text))
      )
    }),
    RUNS,
  )
  t.ok(overlapping > 40, 'enough of them overlapped')
})

t.test('host bits are refused with the network that a byte-wise mask gives', async () => {
  fc.assert(
    fc.property(fc.oneof(bytes4, bytes16), fc.nat(128), (bytes, length) => {
      const prefix = length % (bytes.length * 8 + 1)
      const masked = bytes.map((b, i) => b & (0xff00 >> Math.max(0, Math.min(8, prefix - i * 8))) & 0xff)
      const write = (of: number[]) => (of.length === 4 ? of.join('.') : rfc5952(of))
      const text = `${write(bytes)}/${prefix}`
      try {
        return formatCidr(parseCidr(text)) === text && numberOf(masked) === numberOf(bytes)
      } catch (error) {
        return (
          error instanceof AddressError &&
          error.message === `${text} has host bits set; the network is ${write(masked)}/${prefix}.`
        )
      }
    }),
    RUNS,
  )
})
