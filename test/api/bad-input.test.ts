import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, raw, refusing } from './support.js'

const service = await startService(t)
const { call } = service
await makePool(service, 'p', '10.95.0.0/24')
await give(service, 'known', { address: '10.95.0.5', displayIp: '192.168.1.1' })

const json = { 'content-type': 'application/json' }
const withBody: [method: string, path: string, good: object][] = [
  ['POST', '/v1/pools', { name: 'fine', cidr: '10.96.0.0/24' }],
  ['POST', '/v1/pools/p/reservations', { start: '10.95.0.9', reason: 'x' }],
  ['POST', '/v1/allocations', { nodeName: 'fine' }],
  ['PATCH', '/v1/nodes/known', { displayIp: '192.168.1.2' }],
  ['PATCH', '/northbound/v1/nodes/known', { displayIp: '192.168.1.2' }],
  ['POST', '/v1/nodes/known/registration', { reportedIp: '192.168.1.3' }],
  ['POST', '/v1/tokens', { role: 'auditor' }],
]

const refused = await refusing(t, service)

refused('what is not JSON is malformed_json', async (t) => {
  const bodies: (string | Buffer)[] = [
    '{',
    '{"nodeName":"x",}',
    "{'nodeName':'x'}",
    '{nodeName:"x"}',
    '{"nodeName":"x"} {}',
    'nodeName=x',
    '<a/>',
    '\u0000',
    '{"a":\u0001}',
    '{"a":"\n"}',
    '{"a":01}',
    '{"a":NaN}',
    '{"a":1e}',
    ' ',
    '{"a":"\\x"}',
    Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
    Buffer.from('{"nodeName":"\xe4"}', 'latin1'),
    Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
  ]
  for (const [method, path] of withBody) {
    for (const body of bodies) {
      const answer = await raw(service, method, path, { headers: json, body })
      problem(t, answer, 400, 'malformed_json', `${method} ${path} ${JSON.stringify(body.toString()).slice(0, 40)}`)
    }
  }
})

refused('JSON that is no object is refused at the root', async (t) => {
  for (const [method, path] of withBody) {
    for (const body of ['[]', '[{}]', 'null', 'true', '7', '"x"', '""']) {
      const answer = await raw(service, method, path, { headers: json, body })
      problem(t, answer, 400, 'validation_failed', `${method} ${path} ${body}`)
      t.same(paths(answer), [''], 'the pointer to the whole')
    }
  }
})

refused('a body that is missing is refused where one is needed', async (t) => {
  for (const [method, path] of withBody) {
    if (path.endsWith('/registration')) continue
    for (const headers of [{}, json]) {
      const answer = await raw(service, method, path, { headers })
      problem(t, answer, 400, 'validation_failed', `${method} ${path}`)
    }
  }
})

refused('what is not JSON by its type is 415', async (t) => {
  for (const [method, path, good] of withBody) {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/xml',
      'application/jsonx',
      'nonsense',
      'text/json',
    ]) {
      const answer = await raw(service, method, path, { headers: { 'content-type': type }, body: JSON.stringify(good) })
      problem(t, answer, 415, 'unsupported_media_type', `${method} ${path} ${type}`)
    }
    const untyped = await raw(service, method, path, { body: JSON.stringify(good) })
    problem(t, untyped, 415, 'unsupported_media_type', `${method} ${path} without a type`)
  }
})

refused('JSON with parameters of its type is JSON', async (t) => {
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8']) {
    const answer = await raw(service, 'POST', '/v1/allocations?dryRun=true', {
      headers: { 'content-type': type },
      body: '{"nodeName":"typed"}',
    })
    t.equal(answer.status, 201, type)
  }
})

refused('a body over 2 MiB is 413, also one of 10 MB, and with no length said', async (t) => {
  const body = (bytes: number) => `{"nodeName":"large","labels":{"a":"${'x'.repeat(bytes - 40)}"}}`
  for (const [method, path] of withBody) {
    // fetch may see the connection close while it still sends; that is no failure of the service.
    const answer = await raw(service, method, path, {
      headers: { ...json, 'content-length': String(10_000_000) },
    }).catch(() => null)
    if (answer) problem(t, answer, 413, 'payload_too_large', `${method} ${path}: by its length`)
  }
  for (const bytes of [2 * 1024 * 1024 + 1, 10_000_000]) {
    const answer = await raw(service, 'POST', '/v1/allocations', { headers: json, body: body(bytes).padEnd(bytes) })
    problem(t, answer, 413, 'payload_too_large', `${bytes} bytes`)
    const chunked = await raw(service, 'POST', '/v1/allocations', {
      headers: { ...json, 'transfer-encoding': 'chunked' },
      body: body(bytes).padEnd(bytes),
    })
    problem(t, chunked, 413, 'payload_too_large', `${bytes} bytes in chunks`)
  }
  const just = await raw(service, 'POST', '/v1/allocations', { headers: json, body: body(2 * 1024 * 1024 - 100) })
  problem(t, just, 400, 'validation_failed', 'just under it is read')
  t.same(paths(just), ['/labels/a'])
  t.equal((await call('GET', '/livez')).status, 200)
})

refused('an unknown field is refused in every body, and named', async (t) => {
  for (const [method, path, good] of withBody) {
    for (const field of ['unknown', 'nodename', 'a/b', 'a~b', '', 'constructor', 'toString', 'hasOwnProperty']) {
      const answer = await call(method, path, { ...good, [field]: 1 })
      problem(t, answer, 400, 'validation_failed', `${method} ${path} ${field}`)
      const pointer = path.startsWith('/northbound') ? '' : `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`
      t.same(paths(answer), [pointer])
    }
    const proto = await raw(service, method, path, {
      headers: json,
      body: JSON.stringify(good).replace('{', '{"__proto__":{"admin":true},'),
    })
    problem(t, proto, 400, 'validation_failed', `${method} ${path} __proto__`)
  }
})

refused('an unknown query parameter is refused on every route, and named', async (t) => {
  const routes = [
    ...withBody,
    ['GET', '/v1/pools'],
    ['GET', '/v1/pools/p'],
    ['DELETE', '/v1/pools/p'],
    ['DELETE', '/v1/pools/p/reservations/1'],
    ['GET', '/v1/allocations'],
    ['GET', '/v1/allocations/10.95.0.5'],
    ['DELETE', '/v1/allocations/10.95.0.5'],
    ['DELETE', '/v1/nodes/known/allocation'],
    ['GET', '/v1/nodes'],
    ['GET', '/v1/nodes/known'],
    ['DELETE', '/v1/nodes/known'],
    ['GET', '/v1/nodes/known/unique-ip'],
    ['GET', '/northbound/v1/nodes'],
    ['GET', '/northbound/v1/nodes/known'],
    ['GET', '/v1/audit'],
    ['GET', '/v1/findings'],
    ['GET', '/v1/tokens'],
    ['GET', '/v1/tokens/x'],
    ['DELETE', '/v1/tokens/x'],
  ] as [string, string, object?][]
  for (const [method, path, good] of routes) {
    for (const query of ['unknown=1', 'Limit=5', 'force%20=true', '__proto__=1', 'unknown']) {
      const answer = await call(method, `${path}?${query}`, good)
      problem(t, answer, 400, 'validation_failed', `${method} ${path}?${query}`)
      t.match(paths(answer)[0], /^\?/)
      if (!path.startsWith('/northbound')) t.equal(paths(answer)[0], `?${decodeURIComponent(query.split('=')[0]!)}`)
    }
  }
})

refused('every field error is told at once, each with its pointer', async (t) => {
  const cases: [string, string, unknown, string[]][] = [
    ['POST', '/v1/pools', {}, ['/cidr', '/name']],
    [
      'POST',
      '/v1/pools',
      {
        name: 7,
        cidr: true,
        quarantineSeconds: '60',
        priority: null,
        nodeSelector: [],
        state: 'on',
        description: 1,
        reservations: {},
        extra: 1,
      },
      [
        '/cidr',
        '/description',
        '/extra',
        '/name',
        '/nodeSelector',
        '/priority',
        '/quarantineSeconds',
        '/reservations',
        '/state',
      ],
    ],
    [
      'POST',
      '/v1/pools',
      {
        name: 'a',
        cidr: '10.96.0.0/24',
        reservations: [
          { start: '10.96.0.1', reason: 'x' },
          { start: '1.2.3', end: '010.0.0.1' },
          7,
          { start: '10.96.0.5', reason: '', more: 1 },
        ],
      },
      [
        '/reservations/1/end',
        '/reservations/1/reason',
        '/reservations/1/start',
        '/reservations/2',
        '/reservations/3/more',
        '/reservations/3/reason',
      ],
    ],
    [
      'POST',
      '/v1/pools',
      { name: 'a', cidr: '10.96.0.0/24', quarantineSeconds: -1, priority: 1.5 },
      ['/priority', '/quarantineSeconds'],
    ],
    ['POST', '/v1/pools', { name: 'a', cidr: '10.96.0.0/24', quarantineSeconds: 31_536_001 }, ['/quarantineSeconds']],
    ['POST', '/v1/pools', { name: 'a', cidr: '10.96.0.0/24', priority: 2 ** 40 }, ['/priority']],
    ['POST', '/v1/pools/p/reservations', {}, ['/reason', '/start']],
    ['POST', '/v1/pools/p/reservations', { start: 1, end: 2, reason: 3 }, ['/end', '/reason', '/start']],
    ['POST', '/v1/allocations', {}, ['/nodeName']],
    [
      'POST',
      '/v1/allocations',
      { nodeName: 7, displayIp: 8, pool: 9, address: [], nodeUid: {}, labels: 'x', other: null },
      ['/address', '/displayIp', '/labels', '/nodeName', '/nodeUid', '/other', '/pool'],
    ],
    [
      'POST',
      '/v1/allocations',
      { nodeName: 'Ä', displayIp: '1.2.3', labels: { 'a b': 'c', d: 7, 'x/y/z': 'e', f: 'g h' } },
      ['/displayIp', '/labels/a b', '/labels/d', '/labels/f', '/labels/x~1y~1z', '/nodeName'],
    ],
    ['POST', '/v1/allocations', { nodeName: 'a', pool: null, address: null }, ['/address', '/pool']],
    [
      'PATCH',
      '/v1/nodes/known',
      { displayIp: 1, labels: { a: 1, b: {} }, nodeName: 'x', uniqueIp: 'y' },
      ['/displayIp', '/labels/a', '/labels/b', '/nodeName', '/uniqueIp'],
    ],
    ['POST', '/v1/nodes/known/registration', { nodeUid: '', reportedIp: '::1%lo' }, ['/nodeUid', '/reportedIp']],
  ]
  for (const [method, path, body, wrong] of cases) {
    const answer = await call(method, path, body)
    problem(t, answer, 400, 'validation_failed', JSON.stringify(body))
    t.same(paths(answer), wrong, JSON.stringify(body))
  }
  const query = await call('GET', '/v1/allocations?limit=0&state=x&cidr=y&nodeName=Z&who=1&displayIp=7')
  problem(t, query, 400, 'validation_failed', 'in a query')
  t.same(paths(query), ['?cidr', '?displayIp', '?limit', '?nodeName', '?state', '?who'])
})

refused('very deep and very wide JSON is refused like any other, and quickly', async (t) => {
  const deep = 400_000
  const bodies = [
    '['.repeat(deep) + ']'.repeat(deep),
    `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`,
    `{"nodeName":${'['.repeat(deep)}${']'.repeat(deep)}}`,
    `{"nodeName":"x","labels":{"a":${'{"a":'.repeat(deep / 2)}1${'}'.repeat(deep / 2)}}}`,
    '['.repeat(deep),
    `{${Array.from({ length: 100_000 }, (_, index) => `"f${index}":1`).join(',')}}`,
    `{"name":"x","cidr":"10.96.0.0/24","reservations":[${'7,'.repeat(500_000)}7]}`,
  ]
  for (const [method, path] of withBody) {
    for (const [index, body] of bodies.entries()) {
      const answer = await raw(service, method, path, { headers: json, body })
      const name = `${method} ${path} body ${index}`
      t.equal(answer.status, body.length > 2 * 1024 * 1024 ? 413 : 400, name)
      problem(t, answer, answer.status, answer.body.code, name)
      t.ok((answer.body.errors ?? []).length <= 1000 && answer.text.length < 200_000, `${name}: the answer is no flood`)
    }
  }
  t.equal((await call('GET', '/readyz')).status, 200, 'and the service lives')
})

refused('a key twice, or the names of objects themselves, do no harm', async (t) => {
  const twice = await raw(service, 'POST', '/v1/allocations?dryRun=true', {
    headers: json,
    body: '{"nodeName":"first","nodeName":"Second"}',
  })
  problem(t, twice, 400, 'validation_failed', 'what counts is checked')
  for (const body of [
    '{"nodeName":"x","__proto__":{"pool":"p"}}',
    '{"nodeName":"x","constructor":{"prototype":{"pool":"p"}}}',
    '{"nodeName":"x","labels":{"__proto__":"x"}}',
    '{"nodeName":"x","labels":{"__proto__":{"a":"b"}}}',
    '{"__proto__":{"nodeName":"x"}}',
  ]) {
    problem(t, await raw(service, 'POST', '/v1/allocations', { headers: json, body }), 400, 'validation_failed', body)
  }
  const answer = await raw(service, 'POST', '/v1/allocations?dryRun=true', {
    headers: json,
    body: '{"nodeName":"x","labels":{"constructor":"a","toString":"b"}}',
  })
  t.equal(answer.status, 201)
  t.same(answer.body.labels, { constructor: 'a', toString: 'b' }, 'labels like any other')
  for (const query of [
    'search=a&search=b',
    'state=allocated&state=registered',
    'displayIp=10.0.0.1&displayIp=10.0.0.2',
  ]) {
    problem(t, await call('GET', `/v1/nodes?${query}`), 400, 'validation_failed', `${query}: twice in a query`)
  }
  problem(t, await call('DELETE', '/v1/nodes/known/allocation?force=true&force=false'), 400, 'validation_failed')
})

refused('nothing of it was trouble of ours', async (t) => {
  const errors = service.lines.filter((line) => line.startsWith('{') && JSON.parse(line).level >= 50)
  t.same(errors, [])
})
