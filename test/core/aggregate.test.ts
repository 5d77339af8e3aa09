import fc from 'fast-check'
import t from 'tap'
import { aggregate } from '../../src/core/aggregate.js'
import { formatCidr, parseCidr } from '../../src/core/ip.js'
import { RangeSet } from '../../src/core/range-set.js'

const of = (...cidrs: string[]) => aggregate(cidrs.map(parseCidr)).map(formatCidr)

t.test('aggregate', async (t) => {
  t.strictSame(of('10.244.0.0/24', '10.244.1.0/24'), ['10.244.0.0/23'], 'halves become their whole')
  t.strictSame(
    of('10.244.1.0/24', '10.244.2.0/24'),
    ['10.244.1.0/24', '10.244.2.0/24'],
    'neighbours that are no halves stay',
  )
  t.strictSame(of('10.244.3.0/24', '10.244.0.0/16', '10.244.3.0/24'), ['10.244.0.0/16'], 'what lies in another goes')
  t.strictSame(of('10.0.0.0/26', '10.0.0.64/26', '10.0.0.128/25'), ['10.0.0.0/24'], 'as often as it goes')
  t.strictSame(
    of('fd00::/65', '10.0.0.0/8', 'fd00:0:0:0:8000::/65'),
    ['10.0.0.0/8', 'fd00::/64'],
    'each family for itself',
  )
  t.strictSame(of('0.0.0.0/1', '128.0.0.0/1'), ['0.0.0.0/0'], 'up to everything')
  t.strictSame(of(), [])
})

t.test('aggregate keeps exactly the addresses, and no two of what it gives could be one', async (t) => {
  const cidr = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 })).map(([host, prefix]) => {
    const size = 2 ** (32 - prefix)
    return parseCidr(`10.0.0.${host - (host % size)}/${prefix}`)
  })
  const rangesOf = (cidrs: readonly { first: bigint; prefix: number }[]) =>
    RangeSet.from(cidrs.map(({ first, prefix }) => ({ first, last: first + (1n << BigInt(32 - prefix)) - 1n })))
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 40 }), (cidrs) => {
      const result = aggregate(cidrs)
      const again = aggregate(result)
      return rangesOf(result).equals(rangesOf(cidrs)) && result.map(formatCidr).join() === again.map(formatCidr).join()
    }),
  )
  t.pass()
})
