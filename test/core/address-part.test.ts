import fc from 'fast-check'
import t from 'tap'
import { beginningsOf, isPartOfIPv4 } from '../../src/core/address-part.js'

t.test('a text with a dot between two digits, and nothing but digits and dots, is part of an IPv4 address', (t) => {
  for (const part of ['10.213.0.7', '0.1', '.0.1', '10.1.', '1.2.3.4.5']) t.equal(isPartOfIPv4(part), true, part)
  for (const part of ['', '10', '10.', '.10', 'a1.2', '1.2a', '::1', 'edge-1.2'])
    t.equal(isPartOfIPv4(part), false, part)
  t.end()
})

t.test('an address has the part if it begins with one of the beginnings, and otherwise not', (t) => {
  const octet = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 255 }))
  const address = fc.array(octet, { minLength: 4, maxLength: 4 }).map((octets) => octets.join('.'))
  const cut = fc
    .tuple(address, fc.nat(14), fc.nat(15))
    .map(([text, first, length]) => text.slice(first, first + length))
  fc.assert(
    fc.property(address, cut.filter(isPartOfIPv4), (text, part) => {
      const beginnings = beginningsOf(part)
      fc.pre(beginnings !== undefined)
      const own = beginningsOf(part)!.some((beginning) => text.startsWith(beginning))
      return own === text.includes(part)
    }),
    { numRuns: 5_000 },
  )
  fc.assert(
    fc.property(address, fc.nat(2), (text, first) => {
      const part = text.slice(first)
      fc.pre(isPartOfIPv4(part))
      const beginnings = beginningsOf(part)
      return beginnings === undefined || beginnings.some((beginning) => text.startsWith(beginning))
    }),
  )
  t.end()
})

t.test('a part with too little in it has no list of beginnings', (t) => {
  t.same(beginningsOf('192.168.1.10'), ['192.168.1.10'])
  t.same(beginningsOf('10.0.0.1'), ['10.0.0.1', '110.0.0.1', '210.0.0.1'])
  t.same(beginningsOf('1.2.3.4.5'), [], 'no address has five octets')
  t.equal(beginningsOf('192.168.1')?.length, 1 + 256)
  t.equal(beginningsOf('0.1'), undefined)
  t.end()
})
