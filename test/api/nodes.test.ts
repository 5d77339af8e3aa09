import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, snapshot } from './support.js'

const service = await startService(t)
const { call } = service

t.test('a node shows what it holds, and null where it holds nothing', async (t) => {
  const given = await give(service, 'one', { displayIp: '192.168.1.1', nodeUid: 'u-1', labels: { site: 'a' } })
  const answer = await call('GET', '/v1/nodes/one')
  t.equal(answer.status, 200)
  const { createdAt, updatedAt, ...rest } = answer.body
  t.same(rest, {
    nodeName: 'one',
    displayIp: '192.168.1.1',
    uniqueIp: given.uniqueIp,
    pool: 'default',
    state: 'allocated',
    sequence: given.sequence,
    nodeUid: 'u-1',
    labels: { site: 'a' },
  })
  for (const time of [createdAt, updatedAt]) t.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  await call('POST', '/v1/nodes/one/registration')
  t.equal((await call('GET', '/v1/nodes/one')).body.state, 'registered')
  await call('DELETE', '/v1/nodes/one/allocation?force=true')
  const released = (await call('GET', '/v1/nodes/one')).body
  t.match(released, { nodeName: 'one', displayIp: '192.168.1.1', labels: { site: 'a' }, createdAt })
  t.match(released, { uniqueIp: null, pool: null, sequence: null }, 'a released node holds nothing')
  problem(t, await call('GET', '/v1/nodes/nobody'), 404, 'node_not_found')
})

t.test('PATCH: what is given replaces, what is absent stays, null clears, labels merge', async (t) => {
  await give(service, 'patched', { displayIp: '192.168.2.1', labels: { a: '1', b: '2' } })
  const patch = async (body: object) => {
    const answer = await call('PATCH', '/v1/nodes/patched', body)
    t.equal(answer.status, 200, JSON.stringify(body))
    t.same((await call('GET', '/v1/nodes/patched')).body, answer.body, 'and so it is kept')
    return answer.body
  }
  t.match(await patch({ displayIp: '192.168.2.2' }), { displayIp: '192.168.2.2', labels: { a: '1', b: '2' } })
  t.same((await patch({ labels: { b: '3', c: '4', a: null } })).labels, { b: '3', c: '4' })
  t.same((await patch({ labels: {} })).labels, { b: '3', c: '4' })
  t.equal((await patch({ displayIp: null })).displayIp, null)
  t.same((await patch({ labels: null })).labels, {})
  const kept = await snapshot(service)
  await patch({})
  t.same(await snapshot(service), kept, 'an empty one changes nothing')
  problem(t, await call('PATCH', '/v1/nodes/nobody', { displayIp: null }), 404, 'node_not_found')
})

t.test('a node has at most 64 labels, however they come', async (t) => {
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`k${index}`, 'v']))
  await give(service, 'labelled', { labels })
  const patch = (more: object, side = '') => call('PATCH', `${side}/v1/nodes/labelled`, { labels: more })
  for (const side of ['', '/northbound']) {
    const answer = await patch({ more: 'v' }, side)
    problem(t, answer, 400, 'validation_failed')
    t.same(answer.body.errors[0].path, '/labels')
  }
  t.equal((await patch({ more: 'v', k0: null })).status, 200, 'one for another')
  t.equal(Object.keys((await call('GET', '/v1/nodes/labelled')).body.labels).length, 64)
})

t.test('PATCH with If-Match changes only what the caller has seen', async (t) => {
  await give(service, 'seen')
  const etag = (await call('GET', '/v1/nodes/seen')).headers.get('etag')!
  t.match(etag, /^"[^"]+"$/)
  const patch = (ifMatch: string, displayIp: string, query = '') =>
    call('PATCH', `/v1/nodes/seen${query}`, { displayIp }, { headers: { 'if-match': ifMatch } })
  problem(t, await patch(`W/${etag}`, '10.0.0.1'), 412, 'precondition_failed', 'weak')
  problem(t, await patch('"other"', '10.0.0.1'), 412, 'precondition_failed', 'another')
  problem(t, await patch('seen', '10.0.0.1'), 400, 'validation_failed', 'malformed')
  const first = await patch(`"other", ${etag}`, '10.0.0.1')
  t.equal(first.status, 200, 'a list')
  t.equal(
    first.headers.get('etag'),
    (await call('GET', '/v1/nodes/seen')).headers.get('etag'),
    'the new ETag is answered',
  )
  t.not(first.headers.get('etag'), etag)
  problem(t, await patch(etag, '10.0.0.2'), 412, 'precondition_failed', 'stale')
  t.equal((await patch('*', '10.0.0.3')).status, 200, 'whatever there is')
  const gone = await call('PATCH', '/v1/nodes/nobody', { displayIp: null }, { headers: { 'if-match': '*' } })
  problem(t, gone, 412, 'precondition_failed', 'nothing there')
})

t.test('DELETE with If-Match deletes only what the caller has seen', async (t) => {
  await give(service, 'doomed')
  const etag = (await call('GET', '/v1/nodes/doomed')).headers.get('etag')!
  await call('PATCH', '/v1/nodes/doomed', { displayIp: '10.0.0.9' })
  const remove = (ifMatch: string) =>
    call('DELETE', '/v1/nodes/doomed', undefined, { headers: { 'if-match': ifMatch } })
  problem(t, await remove(etag), 412, 'precondition_failed', 'stale')
  t.equal((await call('GET', '/v1/nodes/doomed')).status, 200)
  t.equal((await remove((await call('GET', '/v1/nodes/doomed')).headers.get('etag')!)).status, 204)
  problem(t, await remove('*'), 412, 'precondition_failed', 'gone')
})

t.test('the list of nodes can be narrowed by each of its fields', async (t) => {
  await makePool(service, 'listed', '10.50.0.0/24')
  await give(service, 'find-a.site', {
    displayIp: '203.0.113.7',
    address: '10.50.0.1',
    labels: { find: 'x', 'example.com/role': 'gw' },
  })
  await give(service, 'find-b.site', { displayIp: '203.0.113.7', address: '10.50.0.2', labels: { find: 'y' } })
  await give(service, 'find-c.site', { displayIp: '203.0.113.77', address: '10.50.0.3' })
  await call('POST', '/v1/nodes/find-b.site/registration')
  await call('DELETE', '/v1/nodes/find-c.site/allocation')
  const names = async (query: string) => {
    const answer = await call('GET', `/v1/nodes?${query}`)
    return answer.body.items?.map((item: { nodeName: string }) => item.nodeName) ?? answer.text
  }
  t.same(await names('search=find-'), ['find-a.site', 'find-b.site', 'find-c.site'])
  t.same(await names('search=B.SI'), ['find-b.site'], 'capitals do not matter to a search')
  t.same(await names('search=203.0.113.7'), ['find-a.site', 'find-b.site', 'find-c.site'], 'part of the display IP')
  t.same(await names('search=%25'), [], 'no wildcards')
  t.same(await names('search=find_a'), [], 'no wildcards')
  t.same(await names('search=find\\'), [], 'no escapes')
  t.same(await names('displayIp=203.0.113.7'), ['find-a.site', 'find-b.site'])
  t.same(await names('uniqueIp=10.50.0.2'), ['find-b.site'])
  t.same(await names('search=find-&state=allocated'), ['find-a.site'])
  t.same(await names('search=find-&state=registered'), ['find-b.site'])
  const quarantined = await call('GET', '/v1/nodes?state=quarantined')
  problem(t, quarantined, 400, 'validation_failed', 'a released node holds nothing, so no node is in this state')
  t.same(paths(quarantined), ['?state'])
  t.same(await names('label=find%3Dy'), ['find-b.site'])
  t.same(await names('label=example.com/role%3Dgw'), ['find-a.site'])
  t.same(await names('label=find%3Dz'), [])
  problem(t, await call('GET', '/v1/nodes?label=find'), 400, 'validation_failed', 'a label without a value')
})
