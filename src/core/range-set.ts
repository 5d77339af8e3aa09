// A set of whole numbers kept as ranges: what a pool has free, in a size that follows the gaps and not the addresses.

/** A closed range: `first` and `last` both belong to it. */
export interface Range {
  readonly first: bigint
  readonly last: bigint
}

/**
 * An immutable set of bigints. `ranges` is its only normal form: sorted, disjoint, and with a gap between neighbours,
 * so equal sets have equal ranges. Every operation takes time in the number of ranges, never in their length.
 */
export class RangeSet {
  static readonly empty = new RangeSet([])

  private constructor(readonly ranges: readonly Range[]) {}

  /** The union of the given ranges, in any order, overlapping or not. Throws a RangeError where first > last. */
  static of(...ranges: Range[]): RangeSet {
    return RangeSet.from(ranges)
  }

  /** As `of`, for more ranges than a call can have arguments. */
  static from(ranges: Iterable<Range>): RangeSet {
    const sorted = [...ranges]
    for (const { first, last } of sorted) if (first > last) throw new RangeError(`not a range: ${first} to ${last}`)
    return new RangeSet(joined(sorted.sort(byFirst)))
  }

  /** The set of these single values. */
  static ofValues(values: Iterable<bigint>): RangeSet {
    return RangeSet.from(Array.from(values, (value) => ({ first: value, last: value })))
  }

  /** How many numbers the set has. */
  get size(): bigint {
    let size = 0n
    for (const { first, last } of this.ranges) size += last - first + 1n
    return size
  }

  get isEmpty(): boolean {
    return this.ranges.length === 0
  }

  has(value: bigint): boolean {
    let low = 0
    let high = this.ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { first, last } = this.ranges[middle]!
      if (value < first) high = middle
      else if (value > last) low = middle + 1
      else return true
    }
    return false
  }

  equals(other: RangeSet): boolean {
    return (
      this.ranges.length === other.ranges.length &&
      this.ranges.every(({ first, last }, i) => first === other.ranges[i]!.first && last === other.ranges[i]!.last)
    )
  }

  union(other: RangeSet): RangeSet {
    return new RangeSet(joined(merged(this.ranges, other.ranges)))
  }

  intersect(other: RangeSet): RangeSet {
    const result: Range[] = []
    for (let i = 0, j = 0; i < this.ranges.length && j < other.ranges.length; ) {
      const a = this.ranges[i]!
      const b = other.ranges[j]!
      const first = later(a.first, b.first)
      const last = earlier(a.last, b.last)
      if (first <= last) result.push({ first, last })
      // The one that ends first cannot meet anything further.
      if (a.last < b.last) i++
      else j++
    }
    return new RangeSet(result)
  }

  subtract(other: RangeSet): RangeSet {
    const result: Range[] = []
    let j = 0
    for (const { first, last } of this.ranges) {
      let from = first
      while (j < other.ranges.length && other.ranges[j]!.last < from) j++
      // A hole that reaches past this range may cut the next one too, so `j` stays and `k` runs ahead.
      let k = j
      for (; k < other.ranges.length && other.ranges[k]!.first <= last; k++) {
        const hole = other.ranges[k]!
        if (from < hole.first) result.push({ first: from, last: hole.first - 1n })
        from = hole.last + 1n
      }
      if (from <= last) result.push({ first: from, last })
      j = Math.max(j, k - 1)
    }
    return new RangeSet(result)
  }
}

// Math.min and Math.max take no bigint.
function earlier(a: bigint, b: bigint): bigint {
  if (a < b) return a
  return b
}

function later(a: bigint, b: bigint): bigint {
  if (a > b) return a
  return b
}

function byFirst(a: Range, b: Range): number {
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0
}

/** Two sorted lists as one sorted list. */
function merged(a: readonly Range[], b: readonly Range[]): Range[] {
  const result: Range[] = []
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) result.push(byFirst(a[i]!, b[j]!) <= 0 ? a[i++]! : b[j++]!)
  while (i < a.length) result.push(a[i++]!)
  while (j < b.length) result.push(b[j++]!)
  return result
}

/** A list sorted by `first`, with what overlaps or touches made one range. */
function joined(sorted: readonly Range[]): Range[] {
  const result: Range[] = []
  for (const { first, last } of sorted) {
    const before = result.at(-1)
    if (before === undefined || first > before.last + 1n) result.push({ first, last })
    else if (last > before.last) result[result.length - 1] = { first: before.first, last }
  }
  return result
}
