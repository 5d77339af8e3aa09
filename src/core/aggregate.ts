import { bitsOf, type Cidr } from './ip.js'

/** The fewest CIDRs that hold exactly the addresses of these: halves become their whole, what lies in another goes. */
export function aggregate(cidrs: readonly Cidr[]): Cidr[] {
  const sorted = [...cidrs].sort(
    (a, b) => a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : a.prefix - b.prefix),
  )
  const kept: Cidr[] = []
  for (let next of sorted) {
    const last = kept.at(-1)
    if (last && last.family === next.family && next.first < last.first + sizeOf(last)) continue
    for (let other = kept.at(-1); other && areHalves(other, next); other = kept.at(-1)) {
      next = { ...other, prefix: other.prefix - 1 }
      kept.pop()
    }
    kept.push(next)
  }
  return kept
}

function sizeOf({ family, prefix }: Cidr): bigint {
  return 1n << BigInt(bitsOf(family) - prefix)
}

/** Of the same whole, the lower half first. */
function areHalves(a: Cidr, b: Cidr): boolean {
  const size = sizeOf(a)
  return a.family === b.family && a.prefix === b.prefix && a.first + size === b.first && a.first % (2n * size) === 0n
}
