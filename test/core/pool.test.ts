import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { type Address, type Cidr, formatAddress, parseAddress, parseCidr } from '../../src/core/ip.js'
import { capacity, cidrRefusal, freeRanges, usableRange, utilization } from '../../src/core/pool.js'
import type { Range } from '../../src/core/range-set.js'

const value = (text: string): bigint => parseAddress(text).value
const range = (first: string, last = first): Range => ({ first: value(first), last: value(last) })

t.test('hands out all but the edges', async (t) => {
  const cases: [cidr: string, first: string, last: string, capacity: bigint][] = [
    ['10.0.0.0/8', '10.0.0.1', '10.255.255.254', 2n ** 24n - 2n],
    ['10.0.0.0/24', '10.0.0.1', '10.0.0.254', 254n],
    ['10.0.0.8/29', '10.0.0.9', '10.0.0.14', 6n],
    ['10.0.0.0/30', '10.0.0.1', '10.0.0.2', 2n],
    ['10.0.0.0/31', '10.0.0.0', '10.0.0.1', 2n],
    ['10.0.0.7/32', '10.0.0.7', '10.0.0.7', 1n],
    ['2001:db8::/48', '2001:db8::1', '2001:db8:0:ffff:ffff:ffff:ffff:ffff', 2n ** 80n - 1n],
    ['2001:db8::/64', '2001:db8::1', '2001:db8::ffff:ffff:ffff:ffff', 2n ** 64n - 1n],
    ['2001:db8::8/125', '2001:db8::9', '2001:db8::f', 7n],
    ['2001:db8::4/126', '2001:db8::5', '2001:db8::7', 3n],
    ['2001:db8::/127', '2001:db8::', '2001:db8::1', 2n],
    ['2001:db8::9/128', '2001:db8::9', '2001:db8::9', 1n],
  ]
  for (const [text, first, last, count] of cases) {
    const cidr = parseCidr(text)
    t.strictSame(usableRange(cidr), range(first, last), `${text} from ${first} to ${last}`)
    t.equal(capacity(cidr), count, `${text} has ${count}`)
  }
})

t.test('a pool may have any other network', async (t) => {
  for (const text of [
    ...['10.0.0.0/8', '10.0.0.7/32', '1.0.0.0/8', '100.64.0.0/10', '126.0.0.0/8', '128.0.0.0/8', '169.253.0.0/16'],
    ...['169.255.0.0/16', '172.16.0.0/12', '192.168.0.0/16', '223.0.0.0/8', '203.0.113.0/24'],
    ...['2001:db8::/48', '2001:db8::1/128', 'fd00::/48', '64:ff9b::/96', '::2/128', '::1:0:0:0/96', 'fec0::/48'],
    ...['fe7f:ffff:ffff::/48', 'feff:ffff:ffff::/48'],
  ]) {
    t.equal(cidrRefusal(parseCidr(text)), null, text)
  }
})

t.test('a pool may not have a network that hosts or routers treat apart, and the refusal names it', async (t) => {
  const cases: [cidr: string, because: string, what: RegExp][] = [
    ['0.0.0.0/8', '0.0.0.0/8', /this network/],
    ['0.0.0.0/32', '0.0.0.0/8', /this network/],
    ['0.0.0.0/0', '0.0.0.0/8', /this network/],
    ['127.0.0.1/32', '127.0.0.0/8', /loopback/],
    ['127.0.0.0/8', '127.0.0.0/8', /loopback/],
    ['169.254.169.254/32', '169.254.0.0/16', /link-local/],
    ['169.0.0.0/8', '169.254.0.0/16', /link-local/],
    ['224.0.0.0/24', '224.0.0.0/4', /multicast/],
    ['239.255.255.255/32', '224.0.0.0/4', /multicast/],
    ['240.0.0.0/8', '240.0.0.0/4', /reserved/],
    ['255.255.255.255/32', '240.0.0.0/4', /broadcast/],
    ['::/128', '::/128', /unspecified/],
    ['::/64', '::/128', /unspecified/],
    ['::1/128', '::1/128', /loopback/],
    ['fe80::/64', 'fe80::/10', /link-local/],
    ['febf:ffff::/48', 'fe80::/10', /link-local/],
    ['ff02::/64', 'ff00::/8', /multicast/],
  ]
  for (const [text, because, what] of cases) {
    const refusal = cidrRefusal(parseCidr(text)) ?? ''
    t.ok(refusal.startsWith(`${text} overlaps ${because} (`), `${text} overlaps ${because}`)
    t.match(refusal, what, `${text} says why`)
  }
})

t.test('a pool may not lie in the IPv4-mapped block, though no text can ask for it', async (t) => {
  const mapped: Cidr = { family: 6, first: 0xffff_0a00_0000n, last: 0xffff_0a00_00ffn, prefix: 120 }
  t.match(cidrRefusal(mapped), /overlaps ::ffff:0:0\/96 \(IPv4-mapped/)
  t.equal(cidrRefusal({ family: 6, first: 0xfffe_ffff_ffffn, last: 0xfffe_ffff_ffffn, prefix: 128 }), null)
  t.equal(cidrRefusal({ family: 6, first: 0x1_0000_0000_0000n, last: 0x1_0000_0000_0000n, prefix: 128 }), null)
})

t.test('a pool may be no larger than /8 and /48', async (t) => {
  t.match(cidrRefusal(parseCidr('10.0.0.0/7')), /10\.0\.0\.0\/7 is larger .* \/8/)
  t.match(cidrRefusal(parseCidr('2001:db8::/47')), /2001:db8::\/47 is larger .* \/48/)
})

t.test('free is usable, less reservations, less what is held', async (t) => {
  const cases: [name: string, cidr: string, reservations: Range[], held: string[], free: Range[]][] = [
    ['an empty pool', '10.0.0.0/29', [], [], [range('10.0.0.1', '10.0.0.6')]],
    [
      'reserved edges',
      '10.0.0.0/29',
      [range('10.0.0.0', '10.0.0.2'), range('10.0.0.7')],
      [],
      [range('10.0.0.3', '10.0.0.6')],
    ],
    [
      'held in the middle',
      '10.0.0.0/29',
      [],
      ['10.0.0.3'],
      [range('10.0.0.1', '10.0.0.2'), range('10.0.0.4', '10.0.0.6')],
    ],
    [
      'held inside a reservation',
      '10.0.0.0/29',
      [range('10.0.0.2', '10.0.0.4')],
      ['10.0.0.3'],
      [range('10.0.0.1'), range('10.0.0.5', '10.0.0.6')],
    ],
    ['full', '10.0.0.0/30', [range('10.0.0.1')], ['10.0.0.2'], []],
    ['a point to point link', '10.0.0.0/31', [], ['10.0.0.0'], [range('10.0.0.1')]],
    ['IPv6', '2001:db8::/125', [], ['2001:db8::1', '2001:db8::7'], [range('2001:db8::2', '2001:db8::6')]],
  ]
  for (const [name, cidr, reservations, held, free] of cases) {
    t.strictSame(freeRanges(parseCidr(cidr), reservations, held.map(value)).ranges, free, name)
  }
})

t.test('the numbers of a pool', async (t) => {
  const cidr = parseCidr('10.0.0.0/29')
  const numbers = (reservations: Range[], allocated = 0n, quarantinedOutsideReservations = 0n) =>
    utilization({ cidr, reservations, allocated, quarantinedOutsideReservations })
  t.strictSame(numbers([]), { capacity: 6n, allocated: 0n, quarantined: 0n, reserved: 0n, free: 6n }, 'empty')
  t.strictSame(
    numbers([range('10.0.0.0', '10.0.0.1'), range('10.0.0.7')], 2n, 1n),
    { capacity: 6n, allocated: 2n, quarantined: 1n, reserved: 1n, free: 2n },
    'reserved edges are in no number',
  )
  t.strictSame(
    numbers([range('10.0.0.1', '10.0.0.3'), range('10.0.0.2', '10.0.0.4')]),
    { capacity: 6n, allocated: 0n, quarantined: 0n, reserved: 4n, free: 2n },
    'what is reserved twice counts once',
  )
  t.strictSame(numbers([], 6n), { capacity: 6n, allocated: 6n, quarantined: 0n, reserved: 0n, free: 0n }, 'full')
  t.throws(() => numbers([], 7n), /impossible counts for 10\.0\.0\.0\/29/, 'more than there is')
  t.throws(() => numbers([range('10.0.0.1', '10.0.0.4')], 2n, 1n), /impossible counts/)
  t.throws(() => numbers([], -1n), /impossible counts/)
  t.throws(() => numbers([], 1n, -1n), /impossible counts/)
})

t.test('the numbers of the largest pool are exact', async (t) => {
  const numbers = utilization({
    cidr: parseCidr('2001:db8::/48'),
    reservations: [range('2001:db8:0:1::', '2001:db8:0:1:ffff:ffff:ffff:ffff')],
    allocated: 2n ** 53n + 1n,
    quarantinedOutsideReservations: 1n,
  })
  t.strictSame(numbers, {
    capacity: 1208925819614629174706175n,
    allocated: 9007199254740993n,
    quarantined: 1n,
    reserved: 18446744073709551616n,
    free: 1208925819614629174706175n - 9007199254740993n - 1n - 18446744073709551616n,
  })
})

/** A network of up to 8 addresses, at places where doubles and signed numbers go wrong. */
const smallPool = fc
  .tuple(
    fc.constantFrom<Address>(
      { family: 4, value: 0x0a000000n },
      { family: 4, value: 0x7ffffff8n },
      { family: 4, value: 0xdffffff8n },
      { family: 6, value: 0x20010db8000000000000000000000000n },
      { family: 6, value: 0x20010db800000000ffffffffffffffe8n },
      { family: 6, value: 0xfdfffffffffffffffffffffffffffff8n },
    ),
    fc.nat(3),
  )
  .map(([at, hostBits]) => parseCidr(`${formatAddress(at)}/${(at.family === 4 ? 32 : 128) - hostBits}`))

t.test('usable, free and every number are what a list of the addresses says', async () => {
  const reservation = fc.tuple(fc.nat(7), fc.nat(3))
  fc.assert(
    fc.property(
      smallPool,
      fc.array(reservation, { maxLength: 3 }),
      fc.array(fc.constantFrom('free', 'allocated', 'quarantined'), { minLength: 8, maxLength: 8 }),
      (cidr, spans, states) => {
        const all: bigint[] = []
        for (let v = cidr.first; v <= cidr.last; v++) all.push(v)
        const isEdge = (i: number) => all.length > 2 && (i === 0 || (cidr.family === 4 && i === all.length - 1))
        const usable = all.filter((_, i) => !isEdge(i))
        const reservations = spans.map(([from, extra]) => {
          const first = all[from % all.length]!
          const last = first + BigInt(extra)
          return { first, last: last > cidr.last ? cidr.last : last }
        })
        const isReserved = (v: bigint) => reservations.some(({ first, last }) => first <= v && v <= last)
        // A reservation is never laid over an allocation, but it may be laid over a quarantined address.
        const stateOf = (v: bigint) => {
          const state = states[all.indexOf(v)]!
          return state === 'allocated' && isReserved(v) ? 'free' : state
        }
        const held = usable.filter((v) => stateOf(v) !== 'free')
        const free = usable.filter((v) => !isReserved(v) && stateOf(v) === 'free')
        const allocated = usable.filter((v) => stateOf(v) === 'allocated')
        const quarantined = usable.filter((v) => stateOf(v) === 'quarantined' && !isReserved(v))

        const listed: bigint[] = []
        for (const { first, last } of freeRanges(cidr, reservations, held).ranges) {
          for (let v = first; v <= last; v++) listed.push(v)
        }
        deepStrictEqual(listed, free)
        deepStrictEqual(capacity(cidr), BigInt(usable.length))
        const numbers = utilization({
          cidr,
          reservations,
          allocated: BigInt(allocated.length),
          quarantinedOutsideReservations: BigInt(quarantined.length),
        })
        deepStrictEqual(numbers, {
          capacity: BigInt(usable.length),
          allocated: BigInt(allocated.length),
          quarantined: BigInt(quarantined.length),
          reserved: BigInt(usable.filter(isReserved).length),
          free: BigInt(free.length),
        })
        return numbers.allocated + numbers.quarantined + numbers.reserved + numbers.free === numbers.capacity
      },
    ),
    { numRuns: 2000 },
  )
})
