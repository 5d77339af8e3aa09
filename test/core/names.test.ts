import fc from 'fast-check'
import t from 'tap'
import { isReadableAsAddress } from '../../src/core/ip.js'
import { globMatches, globProblem, labelProblem, nodeNameProblem, poolNameProblem } from '../../src/core/names.js'

const of = (length: number): string => 'a'.repeat(length)
const LONGEST = `${of(63)}.${of(63)}.${of(63)}.${of(61)}`

t.test('a node may be called by any DNS-1123 subdomain', async (t) => {
  for (const name of [
    'a',
    '1a',
    'edge-1',
    'edge-1.site-2.example.com',
    '10.0.0.1.example.com',
    '1.2.3.4.5',
    of(63),
    of(253),
    `a.${of(64)}.b`,
    LONGEST,
    'a--b',
  ]) {
    t.equal(nodeNameProblem(name), null, name)
  }
})

t.test('a node may not be called otherwise, and the refusal says the way out', async (t) => {
  const cases: [name: string, says: RegExp][] = [
    ['', /missing/],
    [`${LONGEST}a`, /at most 253/],
    ['Edge-1', /lower case/],
    ['-edge', /starts and ends/],
    ['edge-', /starts and ends/],
    ['edge-.a', /starts and ends/],
    ['.edge', /starts and ends/],
    ['edge.', /starts and ends/],
    ['a..b', /starts and ends/],
    ['edge_1', /only lower-case/],
    ['edge 1', /only lower-case/],
    ['edge-1\n', /only lower-case/],
    ['édge', /only lower-case/],
    ['edge/1', /only lower-case/],
    ['../etc', /only lower-case/],
    ['::1', /only lower-case/],
    ['10.0.0.1', /IP address/],
    ['010.0.0.1', /IP address/],
    ['1.2.3', /IP address/],
    ['10.1', /IP address/],
    ['1', /IP address/],
    ['167772161', /IP address/],
    ['0x0a000001', /IP address/],
  ]
  for (const [name, says] of cases) t.match(nodeNameProblem(name), says, JSON.stringify(name))
})

t.test('every name that is taken follows the rule as Kubernetes writes it, and no other', async () => {
  const name = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'ab09.-.-A_'), maxLength: 12 }),
    fc
      .array(fc.string({ unit: fc.constantFrom(...'a0-'), minLength: 1, maxLength: 64 }), { maxLength: 6 })
      .map((p) => p.join('.')),
  )
  const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
  fc.assert(
    fc.property(name, (name) => {
      const right = subdomain.test(name) && name.length <= 253 && !/[^.]{64}/.test(name) && !isReadableAsAddress(name)
      return (nodeNameProblem(name) === null) === right
    }),
    { numRuns: 3000 },
  )
})

t.test('a pool is called by one DNS-1123 label', async (t) => {
  for (const name of ['a', '1', 'edge-west', of(63)]) t.equal(poolNameProblem(name), null, name)
  const cases: [name: string, says: RegExp][] = [
    ['', /missing/],
    [of(64), /at most 63/],
    ['a.b', /only lower-case/],
    ['Edge', /only lower-case/],
    ['-a', /starts and ends/],
    ['a-', /starts and ends/],
    ['a b', /only lower-case/],
    ['a\n', /only lower-case/],
  ]
  for (const [name, says] of cases) t.match(poolNameProblem(name), says, JSON.stringify(name))
})

t.test('takes the labels that Kubernetes takes', async (t) => {
  for (const [key, value] of [
    ['site', 'west'],
    ['site', ''],
    ['Site_1.a-b', 'A_1.b-c'],
    ['node-role.kubernetes.io/edge', ''],
    [`${LONGEST}/${of(63)}`, of(63)],
    ['10.0.0.1/x', '10.0.0.1'],
    ['a', '0'],
  ] as const) {
    t.equal(labelProblem(key, value), null, `${key}=${value}`)
  }
})

t.test('refuses other labels, and says which part is wrong', async (t) => {
  const cases: [key: string, value: string, says: RegExp][] = [
    ['', 'a', /name in a label key is missing/],
    ['example.com/', 'a', /name in a label key is missing/],
    [of(64), 'a', /name in a label key has at most 63/],
    ['/site', 'a', /prefix of a label key is missing/],
    ['Example.com/site', 'a', /prefix of a label key is in lower case/],
    ['-a/site', 'a', /prefix of a label key has only/],
    [`${LONGEST}a/site`, 'a', /prefix of a label key has at most 253/],
    ['a/b/c', 'a', /name in a label key has only/],
    ['-site', 'a', /name in a label key has only/],
    ['site.', 'a', /name in a label key has only/],
    ['si te', 'a', /name in a label key has only/],
    ['__proto__', 'a', /name in a label key has only/],
    ['site\n', 'a', /name in a label key has only/],
    ['site', of(64), /label value has at most 63/],
    ['site', '-a', /label value is empty, or/],
    ['site', 'a.', /label value is empty, or/],
    ['site', ' ', /label value is empty, or/],
    ['site', 'a\n', /label value is empty, or/],
    ['site', 'wést', /label value is empty, or/],
  ]
  for (const [key, value, says] of cases) t.match(labelProblem(key, value), says, JSON.stringify([key, value]))
})

t.test('no message repeats what was sent', async (t) => {
  const sent = '10.23.45.67'
  for (const message of [
    nodeNameProblem(sent),
    nodeNameProblem(`-${sent}`),
    nodeNameProblem(`E${sent}`),
    poolNameProblem(sent),
    labelProblem(`-${sent}`, ''),
    labelProblem(`-${sent}/a`, ''),
    labelProblem('a', `-${sent}`),
    globProblem(`[${sent}]`),
  ]) {
    t.type(message, 'string')
    t.notMatch(message, /23/)
  }
})

t.test('a glob matches the whole name', async (t) => {
  const cases: [pattern: string, name: string, matches: boolean][] = [
    ['edge-1', 'edge-1', true],
    ['edge-1', 'edge-10', false],
    ['edge-1', 'xedge-1', false],
    ['*', 'a.b.c', true],
    ['*', '', true],
    ['**', 'a', true],
    ['', '', true],
    ['', 'a', false],
    ['?', 'a', true],
    ['?', '', false],
    ['?', 'ab', false],
    ['edge-?', 'edge-1', true],
    ['edge-?', 'edge-', false],
    ['a?c', 'a.c', true],
    ['edge-*', 'edge-', true],
    ['edge-*', 'edge', false],
    ['edge-*', 'edge-1.site.example.com', true],
    ['*.west', 'edge-1.west', true],
    ['*.west', 'edge-1.west.x', false],
    ['*-gw', 'a-gw-gw', true],
    ['a*b*c', 'aXbXbXc', true],
    ['a*b*c', 'acb', false],
    ['*?', '', false],
    ['a.c', 'abc', false],
    ['a', '*', false],
  ]
  for (const [pattern, name, matches] of cases) t.equal(globMatches(pattern, name), matches, `${pattern} and ${name}`)
})

/** The definition of a glob, letter by letter. Exponential, so for short texts only. */
function naive(pattern: string, name: string): boolean {
  if (pattern === '') return name === ''
  const rest = pattern.slice(1)
  if (pattern[0] === '*') return naive(rest, name) || (name !== '' && naive(pattern, name.slice(1)))
  return name !== '' && (pattern[0] === '?' || pattern[0] === name[0]) && naive(rest, name.slice(1))
}

t.test('a glob matches what its definition matches', async (t) => {
  let matched = 0
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab.*?*'), maxLength: 7 }),
      fc.string({ unit: fc.constantFrom(...'ab.'), maxLength: 9 }),
      (pattern, name) => {
        const expected = naive(pattern, name)
        if (expected) matched++
        return globMatches(pattern, name) === expected
      },
    ),
    { numRuns: 5000 },
  )
  t.ok(matched > 200, 'enough of them matched')
})

t.test('a pattern made to be slow takes no more steps than pattern times name', async (t) => {
  for (const pattern of [`${'*a'.repeat(126)}b`, `*${'a'.repeat(126)}b`, `${'*?'.repeat(126)}b`]) {
    let looks = 0
    const counted: ProxyHandler<{ length: number }> = {
      get: (_, key) => {
        if (key === 'length') return 253
        looks++
        return 'a'
      },
    }
    t.notOk(globMatches(pattern, new Proxy({ length: 253 }, counted) as unknown as string))
    t.ok(looks > 0 && looks <= pattern.length * 253, `${looks} looks at the name`)
  }
})

t.test('refuses a pattern that no name can match', async (t) => {
  for (const pattern of ['*', '?', 'edge-*', '*.west', 'edge-1', '10.0.0.*'])
    t.equal(globProblem(pattern), null, pattern)
  const cases: [pattern: string, says: RegExp][] = [
    ['', /missing/],
    ['*'.repeat(254), /at most 253/],
    ['Edge-*', /only lower-case/],
    ['edge-[0-9]', /only lower-case/],
    ['{a,b}', /only lower-case/],
    ['edge *', /only lower-case/],
    ['*\n', /only lower-case/],
  ]
  for (const [pattern, says] of cases) t.match(globProblem(pattern), says, JSON.stringify(pattern))
})
