import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, raw, refusing } from './support.js'

const service = await startService(t)
const { call } = service
await makePool(service, 'p', '10.95.0.0/24')
await give(service, 'known', { address: '10.95.0.5', displayIp: '192.168.1.1' })

const badAddresses = [
  '010.0.0.1',
  '10.0.0.01',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.256',
  '256.1.1.1',
  '1.2.3.-4',
  '0x0a.0.0.1',
  '167772161',
  '1.2.3.4 ',
  ' 1.2.3.4',
  '1.2.3.4\n',
  '::ffff:10.0.0.1',
  '::ffff:a00:1',
  '0:0:0:0:0:ffff:10.0.0.1',
  'fe80::1%eth0',
  'fe80::1%25eth0',
  '10.0.0.1/32',
  'fd00::1/128',
  '[fd00::1]',
  'fd00:::1',
  'fd00::1::2',
  'fd00',
  'g::1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  'localhost',
  '',
  '１.２.３.４',
  '10.0.0.1:80',
  'fd00::12345',
]

const refused = await refusing(t, service)

refused('addresses that are refused everywhere', async (t) => {
  for (const address of badAddresses) {
    const name = JSON.stringify(address)
    const expect = async (path: string, method: string, route: string, body?: object) => {
      const answer = await call(method, route, body)
      problem(t, answer, 400, 'validation_failed', `${name} in ${method} ${route}`)
      t.same(paths(answer), [path], `${name} in ${method} ${route}`)
    }
    await expect('/address', 'POST', '/v1/allocations', { nodeName: 'x', address })
    await expect('/displayIp', 'POST', '/v1/allocations', { nodeName: 'x', displayIp: address })
    await expect('/displayIp', 'PATCH', '/v1/nodes/known', { displayIp: address })
    await expect('/displayIp', 'PATCH', '/northbound/v1/nodes/known', { displayIp: address })
    await expect('/reportedIp', 'POST', '/v1/nodes/known/registration', { reportedIp: address })
    await expect('/start', 'POST', '/v1/pools/p/reservations', { start: address, reason: 'x' })
    await expect('/end', 'POST', '/v1/pools/p/reservations', { start: '10.95.0.9', end: address, reason: 'x' })
    const text = encodeURIComponent(address)
    await expect('?displayIp', 'GET', `/v1/nodes?displayIp=${text}`)
    await expect('?uniqueIp', 'GET', `/v1/nodes?uniqueIp=${text}`)
    await expect('?displayIp', 'GET', `/v1/allocations?displayIp=${text}`)
    await expect('?address', 'GET', `/v1/audit?address=${text}`)
    await expect('?displayIp', 'GET', `/northbound/v1/nodes?displayIp=${text}`)
    if (address !== '') {
      await expect('{address}', 'GET', `/v1/allocations/${text}`)
      await expect('{address}', 'DELETE', `/v1/allocations/${text}`)
    }
  }
})

refused('CIDRs that are none', async (t) => {
  const bad = [
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/024',
    '10.0.0.0/8/8',
    '010.0.0.0/8',
    '10/8',
    '10.0.0.0/255.0.0.0',
    'fd00::/129',
    '::ffff:10.0.0.0/120',
    'fe80::%eth0/64',
    ' 10.0.0.0/8',
    '',
    '10.0.0.0/8 ',
    '10.0.0.0/1e1',
    '*/8',
  ]
  for (const cidr of bad) {
    const answer = await call('POST', '/v1/pools', { name: 'x', cidr })
    problem(t, answer, 400, 'validation_failed', JSON.stringify(cidr))
    t.same(paths(answer), ['/cidr'], JSON.stringify(cidr))
    t.same(
      paths(await call('GET', `/v1/allocations?cidr=${encodeURIComponent(cidr)}`)),
      ['?cidr'],
      JSON.stringify(cidr),
    )
  }
})

refused('node names that are none, in a body and in a path', async (t) => {
  const bad = [
    'Edge-1',
    'EDGE',
    'edge_1',
    '-edge',
    'edge-',
    '.edge',
    'edge.',
    'a..b',
    'a.-b',
    'edge 1',
    'ёж',
    'edge\u0000',
    'edge\n',
    'a/b',
    'x'.repeat(254),
    'x'.repeat(2000),
    '10.0.0.1',
    '192.168.1.10',
    '10.0.0.1.',
    '010.0.0.1',
    '1.2.3',
    '167772161',
    'fd00::1',
    '::1',
    '*',
    '%',
    '$(reboot)',
    "'; drop table nodes; --",
  ]
  for (const name of bad) {
    const short = JSON.stringify(name).slice(0, 30)
    const answer = await call('POST', '/v1/allocations', { nodeName: name })
    problem(t, answer, 400, 'validation_failed', short)
    t.same(paths(answer), ['/nodeName'], short)
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/unique-ip'],
      ['DELETE', '/allocation'],
      ['POST', '/registration'],
    ] as const) {
      const there = await call(method, `/v1/nodes/${encodeURIComponent(name)}${path}`)
      problem(t, there, 400, 'validation_failed', `${method} …${path} ${short}`)
      t.same(paths(there), ['{name}'], short)
    }
    problem(t, await call('GET', `/northbound/v1/nodes/${encodeURIComponent(name)}`), 400, 'validation_failed', short)
  }
  const empty = await call('POST', '/v1/allocations', { nodeName: '' })
  t.same(paths(empty), ['/nodeName'])
  t.equal(
    (await call('POST', '/v1/allocations?dryRun=true', { nodeName: `${'x'.repeat(60)}.${'y'.repeat(192)}` })).status,
    201,
    '253 characters are a name',
  )
})

refused('texts that the database could not keep are refused, not broken', async (t) => {
  const texts = ['\u0000', 'a\u0000b', '\ud800', 'a\udc00b', '\ud800\ud800', '\u001b[31m', '\u007f']
  for (const text of texts) {
    const name = JSON.stringify(text)
    const bodies: [string, string, object, string][] = [
      ['POST', '/v1/pools', { name: 'x', cidr: '10.96.0.0/24', description: text }, '/description'],
      ['POST', '/v1/pools', { name: 'x', cidr: '10.96.0.0/24', nodeSelector: { a: text } }, '/nodeSelector/a'],
      ['POST', '/v1/pools/p/reservations', { start: '10.95.0.9', reason: text }, '/reason'],
      ['POST', '/v1/allocations', { nodeName: 'x', nodeUid: text }, '/nodeUid'],
      ['POST', '/v1/allocations', { nodeName: 'x', labels: { a: text } }, '/labels/a'],
      ['POST', '/v1/nodes/known/registration', { nodeUid: text }, '/nodeUid'],
      ['POST', '/v1/tokens', { role: 'auditor', description: text }, '/description'],
    ]
    for (const [method, path, body, pointer] of bodies) {
      const answer = await call(method, path, body)
      problem(t, answer, 400, 'validation_failed', `${name} in ${pointer} of ${path}`)
      t.same(paths(answer), [pointer], `${name} in ${pointer} of ${path}`)
    }
    const key = await call('POST', '/v1/allocations', { nodeName: 'x', labels: { [text]: 'a' } })
    problem(t, key, 400, 'validation_failed', `${name} as a label's key`)
  }
  for (const query of ['search=%00', 'label=a%3D%00', 'label=%00%3Da', 'label=a%3D%01']) {
    problem(t, await call('GET', `/v1/nodes?${query}`), 400, 'validation_failed', query)
  }
  problem(t, await call('GET', '/northbound/v1/nodes?search=%00'), 400, 'validation_failed')
  problem(t, await call('GET', '/v1/audit?actor=%00'), 400, 'validation_failed')
  problem(t, await call('GET', '/v1/findings?nodeName=%00'), 400, 'validation_failed')
  for (const query of ['search=%ff', 'search=%c0%80', 'search=%zz', 'search=%ed%a0%80']) {
    const answer = await raw(service, 'GET', `/v1/nodes?${query}`)
    t.ok(answer.status === 200 || answer.status === 400, `${query}: ${answer.status}`)
  }
})

refused('texts that are too long are refused', async (t) => {
  const cases: [string, string, object, string][] = [
    ['POST', '/v1/pools', { name: 'x'.repeat(64), cidr: '10.96.0.0/24' }, '/name'],
    ['POST', '/v1/pools', { name: 'x', cidr: '10.96.0.0/24', description: 'x'.repeat(100_000) }, '/description'],
    ['POST', '/v1/pools/p/reservations', { start: '10.95.0.9', reason: 'x'.repeat(100_000) }, '/reason'],
    ['POST', '/v1/allocations', { nodeName: 'x', nodeUid: 'x'.repeat(100_000) }, '/nodeUid'],
    ['POST', '/v1/allocations', { nodeName: 'x', labels: { ['a'.repeat(64)]: 'x' } }, `/labels/${'a'.repeat(64)}`],
    ['POST', '/v1/allocations', { nodeName: 'x', labels: { a: 'x'.repeat(64) } }, '/labels/a'],
    ['POST', '/v1/tokens', { role: 'join', namePattern: 'x'.repeat(254) }, '/namePattern'],
  ]
  for (const [method, path, body, pointer] of cases) {
    const answer = await call(method, path, body)
    problem(t, answer, 400, 'validation_failed', pointer)
    t.same(paths(answer), [pointer])
  }
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, 'v']))
  problem(
    t,
    await call('POST', '/v1/allocations', { nodeName: 'x', labels: many }),
    400,
    'validation_failed',
    'too many labels',
  )
  const search = await call('GET', `/v1/nodes?search=${'x'.repeat(5000)}`)
  problem(t, search, 400, 'validation_failed', 'a long search')
})

refused('pool names that are none', async (t) => {
  for (const name of ['', 'Default', 'a_b', 'a.b', '-a', 'a-', 'a b', 'ä', '../a', 'x'.repeat(64)]) {
    const answer = await call('POST', '/v1/pools', { name, cidr: '10.96.0.0/24' })
    problem(t, answer, 400, 'validation_failed', name)
    t.same(paths(answer), ['/name'])
    t.same(paths(await call('POST', '/v1/allocations', { nodeName: 'x', pool: name })), ['/pool'])
    if (name !== '')
      problem(t, await call('GET', `/v1/pools/${encodeURIComponent(name)}`), 400, 'validation_failed', `GET ${name}`)
  }
})

refused('nothing of it was trouble of ours', async (t) => {
  const errors = service.lines.filter((line) => line.startsWith('{') && JSON.parse(line).level >= 50)
  t.same(errors, [])
})
