import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { type Range, RangeSet } from '../../src/core/range-set.js'

const range = (first: bigint, last: bigint): Range => ({ first, last })

t.test('has one normal form, whatever it is made of', async (t) => {
  const cases: [name: string, given: Range[], normal: Range[]][] = [
    ['nothing', [], []],
    ['one value', [range(5n, 5n)], [range(5n, 5n)]],
    ['out of order', [range(7n, 9n), range(1n, 2n)], [range(1n, 2n), range(7n, 9n)]],
    ['overlapping', [range(1n, 5n), range(3n, 9n)], [range(1n, 9n)]],
    ['adjacent', [range(1n, 3n), range(4n, 6n)], [range(1n, 6n)]],
    ['a gap of one', [range(1n, 3n), range(5n, 6n)], [range(1n, 3n), range(5n, 6n)]],
    ['one inside the other', [range(1n, 9n), range(3n, 4n)], [range(1n, 9n)]],
    ['the same twice', [range(1n, 2n), range(1n, 2n)], [range(1n, 2n)]],
    ['a bridge over two', [range(1n, 2n), range(8n, 9n), range(2n, 8n)], [range(1n, 9n)]],
  ]
  for (const [name, given, normal] of cases) t.strictSame(RangeSet.of(...given).ranges, normal, name)
})

t.test('refuses a range that ends before it starts', async (t) => {
  t.throws(() => RangeSet.of(range(2n, 1n)), RangeError)
})

t.test('takes more ranges than a call has room for arguments', async (t) => {
  const values = Array.from({ length: 300_000 }, (_, i) => BigInt(2 * i))
  const set = RangeSet.ofValues(values)
  t.equal(set.size, 300_000n)
  t.equal(set.ranges.length, 300_000)
  t.ok(set.has(599_998n))
  t.notOk(set.has(599_997n))
})

t.test('subtracts holes at the edges, across ranges and beyond them', async (t) => {
  const set = RangeSet.of(range(0n, 9n), range(20n, 29n), range(40n, 49n))
  const cases: [name: string, holes: Range[], left: Range[]][] = [
    ['nothing', [], [range(0n, 9n), range(20n, 29n), range(40n, 49n)]],
    ['the first and the last', [range(0n, 0n), range(49n, 49n)], [range(1n, 9n), range(20n, 29n), range(40n, 48n)]],
    ['one hole over the ends of two', [range(5n, 24n)], [range(0n, 4n), range(25n, 29n), range(40n, 49n)]],
    ['one hole over the ends of three', [range(5n, 44n)], [range(0n, 4n), range(45n, 49n)]],
    [
      'two holes in one',
      [range(2n, 3n), range(6n, 7n)],
      [range(0n, 1n), range(4n, 5n), range(8n, 9n), range(20n, 29n), range(40n, 49n)],
    ],
    [
      'only gaps',
      [range(10n, 19n), range(30n, 39n), range(50n, 60n)],
      [range(0n, 9n), range(20n, 29n), range(40n, 49n)],
    ],
    ['all', [range(-5n, 100n)], []],
  ]
  for (const [name, holes, left] of cases) t.strictSame(set.subtract(RangeSet.of(...holes)).ranges, left, name)
})

t.test('tells numbers beyond 2^53 apart', async (t) => {
  const big = 2n ** 53n
  const set = RangeSet.of(range(0n, 2n ** 128n - 1n)).subtract(RangeSet.of(range(big + 1n, big + 1n)))
  t.ok(set.has(big))
  t.notOk(set.has(big + 1n))
  t.ok(set.has(big + 2n))
  t.equal(set.size, 2n ** 128n - 1n)
  t.strictSame(set.ranges, [range(0n, big), range(big + 2n, 2n ** 128n - 1n)])
})

// The model: the same set as a Set<bigint>. The places are where IPv4, doubles and IPv6 end.
const UNIVERSE = 40
const place = fc.constantFrom(0n, 0x0a000000n, 2n ** 32n - 20n, 2n ** 53n - 20n, 2n ** 64n - 20n, 2n ** 128n - 40n)
const spans = fc.array(fc.tuple(fc.nat(UNIVERSE - 1), fc.nat(9)), { maxLength: 12 })

function build(at: bigint, pairs: [number, number][]): { set: RangeSet; model: Set<bigint>; given: Range[] } {
  const given = pairs.map(([from, extra]) =>
    range(at + BigInt(from), at + BigInt(Math.min(from + extra, UNIVERSE - 1))),
  )
  const model = new Set<bigint>()
  for (const { first, last } of given) for (let value = first; value <= last; value++) model.add(value)
  return { set: RangeSet.of(...given), model, given }
}

/** Compares a set with its model at every value, in size, and in the normal form that this makes the only one. */
function sameAsModel(set: RangeSet, model: Set<bigint>, at: bigint): void {
  const values: bigint[] = []
  for (let value = at - 1n; value <= at + BigInt(UNIVERSE); value++) {
    if (set.has(value) !== model.has(value)) throw new Error(`wrong about ${value}`)
    if (model.has(value)) values.push(value)
  }
  const runs: { first: bigint; last: bigint }[] = []
  for (const value of values) {
    const run = runs.at(-1)
    if (run !== undefined && run.last + 1n === value) run.last = value
    else runs.push({ first: value, last: value })
  }
  deepStrictEqual(set.ranges, runs)
  deepStrictEqual([set.size, set.isEmpty], [BigInt(values.length), values.length === 0])
}

t.test('its algebra is that of a Set of bigints', async () => {
  fc.assert(
    fc.property(place, spans, spans, (at, pairsA, pairsB) => {
      const a = build(at, pairsA)
      const b = build(at, pairsB)
      sameAsModel(a.set, a.model, at)
      sameAsModel(a.set.union(b.set), new Set([...a.model, ...b.model]), at)
      sameAsModel(a.set.intersect(b.set), new Set([...a.model].filter((value) => b.model.has(value))), at)
      sameAsModel(a.set.subtract(b.set), new Set([...a.model].filter((value) => !b.model.has(value))), at)
      const equal = a.model.size === b.model.size && [...a.model].every((value) => b.model.has(value))
      deepStrictEqual([a.set.equals(b.set), b.set.equals(a.set)], [equal, equal])
    }),
    { numRuns: 2000 },
  )
})

t.test('equal sets are equal, however they were made', async () => {
  fc.assert(
    fc.property(place, spans, spans, (at, pairsA, pairsB) => {
      const a = build(at, pairsA)
      const b = build(at, pairsB).set
      const again = RangeSet.ofValues([...a.model].reverse())
      const parts = a.set.subtract(b).union(a.set.intersect(b))
      return again.equals(a.set) && parts.equals(a.set) && RangeSet.of(...a.given.reverse()).equals(a.set)
    }),
    { numRuns: 1000 },
  )
})

t.test('an operation leaves its operands as they were', async () => {
  fc.assert(
    fc.property(place, spans, spans, (at, pairsA, pairsB) => {
      const a = build(at, pairsA).set
      const b = build(at, pairsB).set
      const before = structuredClone([a.ranges, b.ranges])
      a.union(b)
      a.intersect(b)
      a.subtract(b)
      deepStrictEqual([a.ranges, b.ranges], before)
    }),
  )
})

t.test('the empty set is empty', async (t) => {
  t.ok(RangeSet.empty.isEmpty)
  t.equal(RangeSet.empty.size, 0n)
  t.notOk(RangeSet.empty.has(0n))
  t.ok(RangeSet.empty.equals(RangeSet.of()))
  t.notOk(RangeSet.empty.equals(RangeSet.of(range(0n, 0n))))
})
