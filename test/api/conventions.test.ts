import t from 'tap'
import { type Service, startService } from '../support/service.js'
import { find, fresh, give, makePool, paths, problem, raw, tokenOf, until } from './support.js'

const service = await startService(t)
// The lists are read on one of their own, where nothing else is added.
const paged = await startService(t)
const { call } = service

t.test('what there is no route for is 404, whatever is asked', async (t) => {
  const unknown = [
    '/v1',
    '/v1/',
    '/v2/pools',
    '/v1/pool',

    '/v1/pools/default/',
    '/v1/pools/',
    '/v1/pools//reservations',
    '/v1/nodes//unique-ip',
    '/V1/pools',
    '/v1//pools',
    '/v1/pools/a/b',
    '/favicon.ico',
    '/v1/pools/default/reservations/1/2',
  ]
  for (const path of unknown) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      problem(t, await call(method, path), 404, 'route_not_found', `${method} ${path}`)
    }
  }
  problem(t, await raw(service, 'GET', '/v1/pools/%zz'), 404, 'route_not_found', 'what cannot be read')
  problem(t, await raw(service, 'GET', '/v1/%2e%2e/readyz'), 404, 'route_not_found', 'dots are no way up')
})

t.test('a method that a path does not have is 405 and says which it has', async (t) => {
  const cases: [string, string, string[]][] = [
    ['DELETE', '/v1/pools', ['GET', 'POST']],
    ['PUT', '/v1/pools', ['GET', 'POST']],
    ['PUT', '/v1/pools/default', ['DELETE', 'GET']],
    ['POST', '/v1/pools/default', ['DELETE', 'GET']],
    ['PATCH', '/v1/allocations', ['GET', 'POST']],
    ['POST', '/v1/allocations/10.0.0.1', ['DELETE', 'GET']],
    ['POST', '/v1/nodes/x', ['DELETE', 'GET', 'PATCH']],
    ['POST', '/v1/nodes', ['GET']],
    ['GET', '/v1/nodes/x/registration', ['POST']],
    ['POST', '/v1/nodes/x/unique-ip', ['GET']],
    ['DELETE', '/v1/audit', ['GET']],
    ['POST', '/v1/findings', ['GET']],
    ['POST', '/livez', ['GET']],
    ['POST', '/readyz', ['GET']],
    ['DELETE', '/openapi.json', ['GET']],
    ['PUT', '/v1/tokens', ['GET', 'POST']],
    ['PATCH', '/v1/tokens/x', ['DELETE', 'GET']],
  ]
  for (const [method, path, has] of cases) {
    const answer = await call(method, path)
    problem(t, answer, 405, 'method_not_allowed', `${method} ${path}`)
    const allow = (answer.headers.get('allow') ?? '').split(/, */)
    for (const one of has) t.ok(allow.includes(one), `${method} ${path}: ${one} is in ${allow}`)
    t.notOk(allow.includes(method))
  }
  problem(t, await call('DELETE', '/v1/pools', '{bad'), 405, 'method_not_allowed', 'whatever the body is')
  for (const method of ['TRACE', 'QUERY'])
    problem(t, await raw(service, method, '/v1/pools'), 405, 'method_not_allowed', method)
})

t.test('what is too long to be read as HTTP is 400', async (t) => {
  const cursor = 'x'.repeat(20_000)
  problem(t, await raw(service, 'GET', `/v1/pools?cursor=${cursor}`), 400, 'validation_failed', 'the URL')
  problem(t, await raw(service, 'GET', '/v1/pools', { headers: { cursor } }), 400, 'validation_failed', 'a header')
})

t.test('HEAD answers as GET does, without the body', async (t) => {
  for (const path of ['/v1/pools', '/v1/pools/default', '/livez', '/readyz']) {
    const answer = await call('HEAD', path)
    t.equal(answer.status, 200, path)
    t.equal(answer.text, '')
  }
})

t.test('a request id is taken if it is one, else made, and answered either way', async (t) => {
  const given = ['a', 'A-b_9', 'x'.repeat(128)]
  for (const id of given) {
    for (const path of ['/v1/pools', '/livez', '/v1/nothing', '/v1/nodes/nobody']) {
      t.equal(
        (await call('GET', path, undefined, { headers: { 'x-request-id': id } })).headers.get('x-request-id'),
        id,
        path,
      )
    }
  }
  const made = new Set<string>()
  for (const id of ['', ' ', 'x'.repeat(129), 'a b', 'a.b', 'ä'.normalize('NFC'), 'a\tb', '../x', '{"a":1}', 'a,b']) {
    const answer = await call('GET', '/v1/pools', undefined, { headers: { 'x-request-id': id } })
    const own = answer.headers.get('x-request-id')!
    t.match(own, /^[A-Za-z0-9_-]{1,128}$/, JSON.stringify(id))
    t.not(own, id)
    made.add(own)
  }
  t.equal(made.size, 10, 'each its own')
  const twice = await raw(service, 'GET', '/v1/pools', { headers: { 'x-request-id': ['one', 'two'] } })
  t.match(twice.headers.get('x-request-id'), /^[A-Za-z0-9_-]{1,128}$/)
})

t.test('the request id is in the audit trail and in the log', async (t) => {
  const id = fresh('traced')
  await call('POST', '/v1/allocations', { nodeName: 'traced' }, { headers: { 'x-request-id': id } })
  const [row] = (await call('GET', '/v1/audit?nodeName=traced')).body.items
  t.equal(row.requestId, id)
  const line = await until('it is logged', () => service.lines.find((one) => one.includes(id)) ?? false)
  t.match(JSON.parse(line), { requestId: id, status: 201 })
  const own = await call('POST', '/v1/allocations', { nodeName: 'traced-2' })
  t.equal((await call('GET', '/v1/audit?nodeName=traced-2')).body.items[0].requestId, own.headers.get('x-request-id'))
})

t.test('stdout is one JSON line an event', async (t) => {
  const lines = service.lines.filter((line) => !/^Building/.test(line))
  t.ok(lines.length > 10)
  for (const line of lines) t.doesNotThrow(() => JSON.parse(line), line)
})

const lists: [string, (service: Service, index: number) => Promise<unknown>][] = [
  ['/v1/pools', (service, index) => makePool(service, `p-${index}`, `10.80.${index}.0/24`)],
  ['/v1/allocations', (service, index) => give(service, `a-${index}`)],
  ['/v1/nodes', (service, index) => give(service, `a-${index}`)],
  ['/northbound/v1/nodes', (service, index) => give(service, `a-${index}`)],
  ['/v1/tokens', (service) => tokenOf(service, 'auditor')],
  ['/v1/audit', (service, index) => give(service, `audited-${index}`)],
  ['/v1/findings', (service, index) => find(service, `found-${index}`)],
]
for (const [path, add] of lists) {
  t.test(`${path}: pages hold every item once, though others are added meanwhile`, async (t) => {
    for (let index = 100; index < 107; index++) await add(paged, index)
    const idOf = (item: Record<string, string>) => item.id ?? item.uniqueIp ?? item.nodeName ?? item.name!
    const all = (await paged.call('GET', `${path}?limit=1000`)).body
    t.equal(all.nextCursor, null)
    const before: string[] = all.items.map(idOf)
    const seen: string[] = []
    let cursor: string | null = ''
    for (let page = 0; cursor !== null; page++) {
      const answer = await paged.call('GET', `${path}?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      t.equal(answer.status, 200)
      t.same(Object.keys(answer.body).sort(), ['items', 'nextCursor'])
      t.ok(answer.body.items.length <= 2)
      seen.push(...answer.body.items.map(idOf))
      cursor = answer.body.nextCursor
      // One comes that sorts before what was read, one that sorts after it.
      if (page === 1) {
        await add(paged, 0)
        await add(paged, 200)
      }
      if (page > 200) throw new Error('it never ends')
    }
    t.equal(new Set(seen).size, seen.length, 'none twice')
    t.same(
      before.filter((id) => !seen.includes(id)),
      [],
      'none left out',
    )
    t.same(
      seen.filter((id) => before.includes(id)),
      before,
      'in the order of the whole list',
    )
    t.equal(
      (await paged.call('GET', `${path}?limit=${before.length + 2}`)).body.nextCursor,
      null,
      'a full last page is the last',
    )
  })

  t.test(`${path}: limits and cursors that are none are refused`, async (t) => {
    for (const limit of [
      '0',
      '-1',
      '1001',
      '1.5',
      'ten',
      '',
      '1&limit=2',
      'NaN',
      '9'.repeat(40),
      '1e2',
      '0x10',
      '%207',
      '%2B7',
      '7.0',
    ]) {
      const answer = await paged.call('GET', `${path}?limit=${limit}`)
      problem(t, answer, 400, 'validation_failed', `limit=${limit}`)
      t.same(paths(answer), ['?limit'], `limit=${limit}`)
    }
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const cursors = [
      '',
      'x',
      '%00',
      '!!!',
      encode(null),
      encode({}),
      encode([]),
      encode(true),
      encode({ createdAt: 'x', id: 1 }),
      encode('\0'),
      'a'.repeat(5000),
      encode('\ud800'),
      encode(1.5),
      encode(-1),
      encode(2 ** 60),
      encode({ createdAt: '2026-01-01', id: '\0' }),
      encode({ createdAt: "2026-01-01'", id: 'x' }),
      encode({ createdAt: '2026-02-30T00:00:00Z', id: 'x' }),
      encode({ createdAt: 'Jan 1 2026 (x)', id: 'x' }),
      encode({ createdAt: '2026-01-01T00:00:00Z', id: '\ud800' }),
    ]
    for (const cursor of cursors) {
      const answer = await paged.call('GET', `${path}?cursor=${cursor}`)
      const name = `cursor=${cursor.slice(0, 40)}`
      t.ok(answer.status === 400 || answer.status === 200, `${name}: ${answer.status} ${answer.text.slice(0, 200)}`)
      if (answer.status === 200) continue
      problem(t, answer, 400, 'validation_failed', name)
      t.same(paths(answer), ['?cursor'], name)
    }
    for (const cursor of ['', 'x', '!!!', encode(null), encode({}), encode([])]) {
      problem(t, await paged.call('GET', `${path}?cursor=${cursor}`), 400, 'validation_failed', `cursor=${cursor}`)
    }
  })
}

t.test('one page is a hundred unless more is asked for', async (t) => {
  await Promise.all(Array.from({ length: 120 }, (_, index) => give(paged, `many-${index}`)))
  t.equal((await paged.call('GET', '/v1/nodes')).body.items.length, 100)
  t.ok((await paged.call('GET', '/v1/nodes?limit=1000')).body.items.length > 100)
})

t.test('answers are not for caches', async (t) => {
  const { headers } = await call('POST', '/v1/tokens', { role: 'auditor' })
  t.match(headers.get('cache-control'), 'no-store', 'a secret least of all')
})
