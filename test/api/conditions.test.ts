import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, problem, snapshot, tokenOf } from './support.js'

const service = await startService(t)
const { call } = service
const etagOf = async (path: string) => (await call('GET', path)).headers.get('etag')!
const ifMatch = (etag: string) => ({ headers: { 'if-match': etag } })

t.test('every single thing has an ETag, the same for HEAD, and again when nothing has changed', async (t) => {
  await give(service, 'told', { address: '10.213.0.9' })
  const { id } = await tokenOf(service, 'auditor')
  for (const path of [
    '/v1/pools/default',
    '/v1/networks',
    '/v1/allocations/10.213.0.9',
    '/v1/nodes/told',
    '/v1/nodes/told/unique-ip',
    '/northbound/v1/nodes/told',
    '/v1/addresses/10.213.0.9',
    `/v1/tokens/${id}`,
  ]) {
    const etag = await etagOf(path)
    t.match(etag, /^"[^"]+"$/, path)
    t.equal((await call('HEAD', path)).headers.get('etag'), etag, `${path}: HEAD`)
    t.equal(await etagOf(path), etag, `${path}: again`)
  }
})

t.test("a node's ETag changes with all that is told of it: also with what it holds", async (t) => {
  await give(service, 'lives')
  const seen = [await etagOf('/v1/nodes/lives')]
  const step = async (what: string, method: string, path: string, body?: object) => {
    const { status, text } = await call(method, path, body)
    t.equal(status, 200, text)
    const etag = await etagOf('/v1/nodes/lives')
    t.notOk(seen.includes(etag), what)
    t.not(await etagOf('/northbound/v1/nodes/lives'), etag, 'the northbound one is of what is shown there')
    seen.push(etag)
  }
  await step('moved', 'POST', '/v1/allocations', { nodeName: 'lives', displayIp: '192.168.1.1' })
  await step('another device', 'POST', '/v1/allocations', { nodeName: 'lives', nodeUid: 'u-1' })
  await step('registered', 'POST', '/v1/nodes/lives/registration')
  await step('labelled from the north', 'PATCH', '/northbound/v1/nodes/lives', { labels: { a: 'b' } })
  await step('released', 'DELETE', '/v1/nodes/lives/allocation?force=true')
  await step('back', 'POST', '/v1/nodes/lives/registration?allocate=true')
  const kept = seen.at(-1)!
  t.equal((await call('PATCH', '/v1/nodes/lives', {}, ifMatch(kept))).status, 200)
  t.equal((await call('PATCH', '/v1/nodes/lives', { labels: { a: 'b' } }, ifMatch(kept))).headers.get('etag'), kept)
  const before = await snapshot(service)
  for (const [index, etag] of seen.slice(0, -1).entries()) {
    for (const [method, path, body] of [
      ['PATCH', '/v1/nodes/lives', { displayIp: null }],
      ['PATCH', '/northbound/v1/nodes/lives', { displayIp: null }],
      ['DELETE', '/v1/nodes/lives?force=true'],
      ['DELETE', '/v1/nodes/lives?force=true&dryRun=true'],
    ] as const) {
      problem(
        t,
        await call(method, path, body, ifMatch(etag)),
        412,
        'precondition_failed',
        `${method} ${path} ${index}`,
      )
    }
  }
  t.same(await snapshot(service), before)
})

t.test("a pool's ETag changes with its settings and reservations, and not with what it hands out", async (t) => {
  await makePool(service, 'p', '10.1.0.0/24')
  const first = await etagOf('/v1/pools/p')
  await give(service, 'p-1', { pool: 'p' })
  t.equal(await etagOf('/v1/pools/p'), first, 'or nobody could change a busy pool with If-Match')
  const { id } = (await call('POST', '/v1/pools/p/reservations', { start: '10.1.0.9', reason: 'x' })).body
  const second = await etagOf('/v1/pools/p')
  t.not(second, first)
  problem(t, await call('PATCH', '/v1/pools/p', { priority: 1 }, ifMatch(first)), 412, 'precondition_failed')
  problem(t, await call('DELETE', '/v1/pools/p', undefined, ifMatch(first)), 412, 'precondition_failed')
  await call('DELETE', `/v1/pools/p/reservations/${id}`)
  t.not(await etagOf('/v1/pools/p'), second)
  t.equal((await call('PATCH', '/v1/pools/p', { priority: 1 }, ifMatch('*'))).status, 200)
})

t.test('a token or a reservation that is gone is 412 with If-Match, and goes only by its own', async (t) => {
  const token = await call('POST', '/v1/tokens', { role: 'auditor' })
  const reservation = await call('POST', '/v1/pools/p/reservations', { start: '10.1.0.77', reason: 'x' })
  for (const [path, made, code] of [
    [`/v1/tokens/${token.body.id}`, token, 'token_not_found'],
    [`/v1/pools/p/reservations/${reservation.body.id}`, reservation, 'reservation_not_found'],
  ] as const) {
    const etag = made.headers.get('etag')!
    const before = await snapshot(service)
    for (const wrong of ['"other"', `W/${etag}`, '""']) {
      problem(t, await call('DELETE', path, undefined, ifMatch(wrong)), 412, 'precondition_failed', `${path} ${wrong}`)
    }
    problem(t, await call('DELETE', path, undefined, ifMatch('other')), 400, 'validation_failed', path)
    t.same(await snapshot(service), before)
    t.equal((await call('DELETE', `${path}?dryRun=true`, undefined, ifMatch(etag))).status, 204)
    t.equal((await call('DELETE', path, undefined, ifMatch(`"other", ${etag}`))).status, 204)
    problem(t, await call('DELETE', path, undefined, ifMatch(etag)), 412, 'precondition_failed', 'gone')
    problem(t, await call('DELETE', path, undefined, ifMatch('*')), 412, 'precondition_failed', 'gone, *')
    problem(t, await call('DELETE', path), 404, code, 'gone, without')
  }
})

t.test('networks are replaced only by who has seen them', async (t) => {
  const put = (items: object[], etag: string) => call('PUT', '/v1/networks', { items }, ifMatch(etag))
  const empty = await etagOf('/v1/networks')
  const pod = [{ kind: 'pod', cidr: '10.244.0.0/16' }]
  const first = await put(pod, empty)
  t.equal(first.status, 200)
  t.equal(first.headers.get('etag'), await etagOf('/v1/networks'))
  const before = await snapshot(service)
  problem(t, await put([], empty), 412, 'precondition_failed', 'stale')
  problem(t, await put([], `W/${first.headers.get('etag')}`), 412, 'precondition_failed', 'weak')
  problem(t, await put([], 'x'), 400, 'validation_failed', 'malformed')
  t.same(await snapshot(service), before)
  t.equal((await put([], '*')).headers.get('etag'), empty, 'the same content, the same ETag')
})

t.test('a registration with If-Match means that very allocation', async (t) => {
  const { sequence } = await give(service, 'registers')
  const register = (name: string, etag: string, query = '') =>
    call('POST', `/v1/nodes/${name}/registration${query}`, undefined, ifMatch(etag))
  const before = await snapshot(service)
  problem(t, await register('registers', `"${sequence + 1}"`), 412, 'precondition_failed')
  problem(t, await register('registers', `W/"${sequence}"`), 412, 'precondition_failed')
  problem(t, await register('nobody', '*'), 412, 'precondition_failed', 'nothing there')
  problem(t, await register('nobody', '*', '?allocate=true'), 412, 'precondition_failed', 'nor is it made')
  t.same(await snapshot(service), before)
  t.equal((await register('registers', `"${sequence}"`)).status, 200)
  t.equal((await register('registers', `"${sequence}"`)).status, 200, 'again')
  problem(t, await register('registers', '"0"'), 412, 'precondition_failed', 'a repetition, too')
})
