import t, { type Test } from 'tap'
import {
  AddressError,
  canonicalAddress,
  cidrContains,
  cidrEncloses,
  cidrsOverlap,
  formatAddress,
  formatCidr,
  isReadableAsAddress,
  parseAddress,
  parseCidr,
} from '../../src/core/ip.js'

/** Runs `action`, which must refuse, and answers what it says to people. */
function messageOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof AddressError) return error.message
    throw error
  }
  throw new Error('was not refused')
}

function refuses(t: Test, action: () => unknown, says: RegExp | string, name: string): void {
  t.match(messageOf(action), says, name)
}

t.test('reads an address and writes it in canonical text', async (t) => {
  const cases: [text: string, family: 4 | 6, value: bigint, canonical: string][] = [
    ['0.0.0.0', 4, 0n, '0.0.0.0'],
    ['10.0.0.1', 4, 0x0a000001n, '10.0.0.1'],
    ['255.255.255.255', 4, 0xffffffffn, '255.255.255.255'],
    ['::', 6, 0n, '::'],
    ['::1', 6, 1n, '::1'],
    ['2001:DB8::A', 6, 0x20010db800000000000000000000000an, '2001:db8::a'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', 6, 0x20010db8000000000000000000000001n, '2001:db8::1'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 6, 2n ** 128n - 1n, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    // RFC 5952: the longest run of zeros, the first of equals, never a single group.
    ['1:0:0:2:0:0:0:3', 6, 0x00010000000000020000000000000003n, '1:0:0:2::3'],
    ['1:0:0:2:3:0:0:4', 6, 0x00010000000000020003000000000004n, '1::2:3:0:0:4'],
    ['1:2:3:4:5:6:7::', 6, 0x00010002000300040005000600070000n, '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', 6, 0x00000002000300040005000600070008n, '0:2:3:4:5:6:7:8'],
    // An embedded IPv4 address is read, and written in hex.
    ['::1.2.3.4', 6, 0x01020304n, '::102:304'],
    ['64:ff9b::1.2.3.4', 6, 0x0064ff9b000000000000000001020304n, '64:ff9b::102:304'],
    ['1:2:3:4:5:6:255.255.255.255', 6, 0x000100020003000400050006ffffffffn, '1:2:3:4:5:6:ffff:ffff'],
    // Next to the mapped block, and so not mapped.
    ['::fffe:1.2.3.4', 6, 0xfffe01020304n, '::fffe:102:304'],
    ['::ffff:0:1.2.3.4', 6, 0xffff000001020304n, '::ffff:0:102:304'],
    ['::1:ffff:102:304', 6, 0x1ffff01020304n, '::1:ffff:102:304'],
  ]
  for (const [text, family, value, canonical] of cases) {
    t.same(parseAddress(text), { family, value }, text)
    t.equal(formatAddress({ family, value }), canonical, `${text} is written ${canonical}`)
    t.equal(canonicalAddress(text), canonical, `${text} has the canonical text ${canonical}`)
  }
})

t.test('refuses what is not exactly one address, and says the way out', async (t) => {
  const cases: [text: string, says: RegExp][] = [
    ['', /missing/],
    [' 10.0.0.1', /white space/],
    ['10.0.0.1\n', /white space/],
    ['::1\t', /white space/],
    ['10.0.0.1\u00a0', /white space/],
    ['10.0.0.0/24', /not a network/],
    ['10.0.0.1/32', /not a network/],
    ['::/0', /not a network/],
    ['fe80::1%eth0', /zone id/],
    ['fe80::1%', /zone id/],
    ['010.0.0.1', /leading zero/],
    ['10.0.0.01', /leading zero/],
    ['10.0.0.00', /leading zero/],
    ['::01.2.3.4', /leading zero/],
    ['::1.2.3.04', /leading zero/],
    ['1.2.3', /four parts/],
    ['10.1', /four parts/],
    ['1.2.3.4.5', /four parts/],
    ['256.0.0.1', /0 to 255/],
    ['1.2.3.999', /0 to 255/],
    ['167772161', /number is not/],
    ['0', /number is not/],
    ['0x0a000001', /Hex/],
    ['0x0a.0.0.1', /Hex/],
    ...['1.2.3.', '.1.2.3', '1..2.3', '1.2.3.-4', '1.2.3.+4', '1.2.3.4a', '1.2.3.1e1', '١.2.3.4', 'edge-1'].map(
      (text): [string, RegExp] => [text, /not an IP address/],
    ),
    ...[': ::: 1::2::3 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1:2:3:4::5:6:7:8 1:2:3:4:5:6:7:1.2.3.4 ::12345 00001:: ::g']
      .concat('1.2.3.4:: ::1.2.3 ::1.2.3.256 [::1] 10.0.0.1:80', `::${'0'.repeat(100_000)}`)
      .flatMap((texts) => texts.split(' '))
      .map((text): [string, RegExp] => [text, /not an IPv6/]),
    ['<b>::1</b>', /not a network/],
  ]
  for (const [text, says] of cases) {
    const shown = JSON.stringify(text.slice(0, 40))
    const message = messageOf(() => parseAddress(text))
    t.match(message, says, shown)
    refuses(t, () => canonicalAddress(text), message, `${shown}, on the hot path too`)
  }
})

t.test('refuses IPv4-mapped IPv6 in every spelling', async (t) => {
  for (const text of [
    '::ffff:10.0.0.1',
    '::FFFF:10.0.0.1',
    '::ffff:a00:1',
    '::ffff:0:0',
    '::ffff:ffff:ffff',
    '0:0:0:0:0:ffff:10.0.0.1',
    '0000:0000:0000:0000:0000:ffff:0a00:0001',
    '0::0:ffff:10.0.0.1',
  ]) {
    refuses(t, () => parseAddress(text), /IPv4-mapped/, text)
    refuses(t, () => canonicalAddress(text), /IPv4-mapped/, text)
    refuses(t, () => parseCidr(`${text}/128`), /IPv4-mapped/, `${text}/128`)
  }
})

t.test('a message about an address never repeats it', async (t) => {
  for (const text of [
    '010.23.45.67',
    '10.23.45.67/32',
    '10.23.45.67 ',
    '::ffff:10.23.45.67',
    'x10.23.45.67',
    '10.23.45',
  ]) {
    const message = messageOf(() => parseAddress(text))
    t.notMatch(message, /23/, text)
  }
})

t.test('writes no number that is not an address of its family', async (t) => {
  t.throws(() => formatAddress({ family: 4, value: 2n ** 32n }), RangeError)
  t.throws(() => formatAddress({ family: 4, value: -1n }), RangeError)
  t.throws(() => formatAddress({ family: 6, value: 2n ** 128n }), RangeError)
  t.throws(() => formatAddress({ family: 6, value: -1n }), RangeError)
})

t.test('reads a network', async (t) => {
  const cases: [text: string, first: string, last: string, prefix: number, canonical?: string][] = [
    ['10.0.0.0/8', '10.0.0.0', '10.255.255.255', 8],
    ['10.0.0.0/24', '10.0.0.0', '10.0.0.255', 24],
    ['10.0.0.4/31', '10.0.0.4', '10.0.0.5', 31],
    ['10.0.0.5/32', '10.0.0.5', '10.0.0.5', 32],
    ['0.0.0.0/0', '0.0.0.0', '255.255.255.255', 0],
    ['2001:DB8:0::/48', '2001:db8::', '2001:db8:0:ffff:ffff:ffff:ffff:ffff', 48, '2001:db8::/48'],
    ['2001:db8::8/125', '2001:db8::8', '2001:db8::f', 125],
    ['2001:db8::1/128', '2001:db8::1', '2001:db8::1', 128],
    ['::/0', '::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 0],
  ]
  for (const [text, first, last, prefix, canonical = text] of cases) {
    const { family, value } = parseAddress(first)
    const cidr = parseCidr(text)
    t.same(cidr, { family, first: value, last: parseAddress(last).value, prefix }, text)
    t.equal(formatCidr(cidr), canonical, `${text} is written ${canonical}`)
  }
})

t.test('refuses what is not exactly one network, and names the right one for host bits', async (t) => {
  const cases: [text: string, says: RegExp | string][] = [
    ['10.0.0.5/24', '10.0.0.5/24 has host bits set; the network is 10.0.0.0/24.'],
    ['10.0.0.1/31', '10.0.0.1/31 has host bits set; the network is 10.0.0.0/31.'],
    ['10.1.2.3/0', '10.1.2.3/0 has host bits set; the network is 0.0.0.0/0.'],
    ['2001:DB8::5/64', '2001:db8::5/64 has host bits set; the network is 2001:db8::/64.'],
    ['2001:db8:0:1::/48', '2001:db8:0:1::/48 has host bits set; the network is 2001:db8::/48.'],
    ['10.0.0.0', /with its prefix/],
    ['2001:db8::', /with its prefix/],
    ['', /with its prefix/],
    ['/24', /missing/],
    ['10.0.0.0/', /0 to 32/],
    ['10.0.0.0/33', /0 to 32/],
    ['10.0.0.0/024', /0 to 32/],
    ['10.0.0.0/-1', /0 to 32/],
    ['10.0.0.0/+8', /0 to 32/],
    ['10.0.0.0/8 ', /0 to 32/],
    ['10.0.0.0/8/8', /0 to 32/],
    ['10.0.0.0/2e1', /0 to 32/],
    ['10.0.0.0/255.0.0.0', /0 to 32/],
    ['::/129', /0 to 128/],
    ['010.0.0.0/8', /leading zero/],
    ['10/8', /number is not/],
    ['10.0/16', /four parts/],
    ['fe80::%eth0/64', /zone id/],
  ]
  for (const [text, says] of cases) {
    refuses(t, () => parseCidr(text), says, JSON.stringify(text))
  }
})

t.test('never sees anything in common between the families', async (t) => {
  const all4 = parseCidr('0.0.0.0/0')
  const all6 = parseCidr('::/0')
  t.notOk(cidrContains(all6, parseAddress('10.0.0.1')))
  t.notOk(cidrContains(all4, parseAddress('::1')))
  t.notOk(cidrsOverlap(all4, all6))
  t.notOk(cidrEncloses(all6, all4))
})

t.test('knows what a program or a person would read as an address', async (t) => {
  for (const text of [
    ...[
      '10.0.0.1',
      '010.0.0.1',
      '1.2.3',
      '10.1',
      '1',
      '167772161',
      '99999999999',
      '256.1.1.1',
      '10.0.0.1.',
      ' 10.0.0.1 ',
    ],
    ...['0x0a000001', '0X0A000001', '0x', '0xa.1', '012.0x1', '10.0.0.0/8'],
    ...[
      '::',
      '::1',
      '2001:DB8::1',
      '::ffff:10.0.0.1',
      'fe80::1%eth0',
      '[2001:db8::1]',
      '2001:db8::/32',
      '1:2:3:4:5:6:7:8',
    ],
  ]) {
    t.ok(isReadableAsAddress(text), text)
  }
  for (const text of [
    ...[
      '',
      'edge-1',
      'edge1',
      '1a',
      '10-0-0-1',
      '10.0.0.1.example.com',
      'ip-10.0.0.1',
      '1.2.3.4.5',
      '1.2.3.x',
      '1..2',
      '.',
    ],
    ...['0xg', 'x1', '10.0.0.1-a', 'a:b', 'cafe', 'dead.beef', '1:2:3:4:5:6:7:8:9'],
  ]) {
    t.notOk(isReadableAsAddress(text), text)
  }
})
