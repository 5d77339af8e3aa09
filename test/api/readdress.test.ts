import t from 'tap'
import { startService } from '../support/service.js'
import { give, paths, problem, snapshot } from './support.js'

// What is said where there is no cluster. With one: test/kubernetes/readdress*.test.ts.

const service = await startService(t)
const { call } = service
await give(service, 'edge-1')

t.test('without a cluster no node can be re-addressed, and the answer says so', async (t) => {
  const before = await snapshot(service)
  for (const query of ['', '?dryRun=true']) {
    problem(t, await call('POST', `/v1/nodes/edge-1/readdress${query}`), 422, 'no_cluster')
    const many = await call('POST', `/v1/readdress${query}`, { finding: 'address_mismatch' })
    problem(t, many, 422, 'no_cluster')
  }
  t.same(await snapshot(service), before)
})

t.test('there are no runs, and one that is not there is not found', async (t) => {
  t.match(await call('GET', '/v1/readdress'), { status: 200, body: { items: [], nextCursor: null } })
  problem(t, await call('GET', '/v1/readdress/5f0c1a9e3b7d'), 404, 'readdress_not_found')
  problem(t, await call('GET', '/v1/readdress/5f0c1a9e3b7d/nodes'), 404, 'readdress_not_found')
  problem(t, await call('POST', '/v1/readdress/5f0c1a9e3b7d/stop'), 404, 'readdress_not_found')
})

t.test('which nodes are meant is said in exactly one way', async (t) => {
  for (const body of [
    {},
    { atOnce: 3 },
    { nodeNames: ['edge-1'], finding: 'address_mismatch' },
    { nodeNames: ['edge-1'], labels: { site: 'hamburg' } },
  ]) {
    problem(t, await call('POST', '/v1/readdress', body), 400, 'validation_failed', JSON.stringify(body))
  }
})

t.test('what is out of bounds is refused, all of it at once', async (t) => {
  const wrong = await call('POST', '/v1/readdress', {
    nodeNames: ['edge-1', 'Edge_2'],
    atOnce: 0,
    stopAfterFailures: 0,
    timeoutSeconds: 86_401,
    settleSeconds: '12',
  })
  problem(t, wrong, 400, 'validation_failed')
  t.same(paths(wrong), ['/atOnce', '/nodeNames/1', '/settleSeconds', '/stopAfterFailures', '/timeoutSeconds'])
  for (const [body, path] of [
    [{ finding: 'node_gone' }, '/finding'],
    [{ nodeNames: [] }, '/nodeNames'],
    [{ finding: 'address_mismatch', force: true }, '/force'],
  ] as const) {
    t.same(paths(await call('POST', '/v1/readdress', body)), [path])
  }
  t.same(paths(await call('POST', '/v1/nodes/edge-1/readdress', { atOnce: 2 })), ['/atOnce'])
  problem(t, await call('POST', '/v1/readdress/x/stop', { now: true }), 400, 'validation_failed')
  t.same(paths(await call('GET', '/v1/readdress/x/nodes?state=gone')), ['?state'])
})
