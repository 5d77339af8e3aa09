import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { ask, recording, startWithHook } from '../hook/support.js'
import { type Service, startService } from '../support/service.js'

t.test('metrics tell what happens, by route and code, and never an address or a node', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.0.0.0/30' } })
  t.equal((await service.call('GET', '/metrics', undefined, { token: null })).status, 401)
  for (const nodeName of ['edge-a', 'edge-a', 'edge-b', 'edge-c']) {
    await service.call('POST', '/v1/allocations', { nodeName, displayIp: '192.168.7.7' })
  }
  await service.call('POST', '/v1/nodes/edge-a/registration', { reportedIp: '192.168.7.7' })
  await service.call('GET', '/no/such/10.0.0.1')
  const { status, text } = await service.call('GET', '/metrics')
  t.equal(status, 200)
  for (const line of [
    'edge_ipam_allocations_total{result="created"} 2',
    'edge_ipam_allocations_total{result="existing"} 1',
    'edge_ipam_allocations_total{result="pool_exhausted"} 1',
    'edge_ipam_http_requests_total{method="POST",route="/v1/allocations",status="201"} 2',
    'edge_ipam_http_requests_total{method="GET",route="none",status="404"} 1',
    'edge_ipam_pool_addresses{pool="default",state="allocated"} 2',
    'edge_ipam_pool_addresses{pool="default",state="free"} 0',
    'edge_ipam_drift_reports_total 1',
    'edge_ipam_lock_skipped_total 0',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
  t.match(text, /^edge_ipam_allocation_batch_size_count \d+$/m)
  t.match(text, /^edge_ipam_database_connections\{state="idle"\} \d+$/m)
  t.match(text, /^edge_ipam_build_info\{version="[^"]+",node_version="v[^"]+"\} 1$/m)
  t.match(text, /^nodejs_eventloop_lag_seconds /m)
  t.notMatch(text, /10\.0\.0\.|192\.168|edge-a/)
})

/** A metric without labels; undefined: it is not there. */
async function metric({ call }: Service, name: string): Promise<number | undefined> {
  const { text } = await call('GET', '/metrics')
  const value = new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

t.test('when a review last came is told where the hook listens: 0 before the first', async (t) => {
  const lastReview = (service: Service) => metric(service, 'edge_ipam_hook_last_review_timestamp_seconds')
  t.equal(await lastReview(await startService(t)), undefined)
  const service = await startWithHook(t)
  t.equal(await lastReview(service), 0)
  const before = Date.now() / 1_000
  await ask(t, service, recording('registration')[0])
  t.ok((await lastReview(service))! >= before)
})

t.test('when the cluster was last looked at is told by every replica that has one: 0 for never', async (t) => {
  const lastLook = (service: Service) => metric(service, 'edge_ipam_cluster_last_look_timestamp_seconds')
  const folder = t.testdir({
    // Nobody listens there: a cluster that never answers.
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'away', cluster: { server: 'https://127.0.0.1:9' } }],
      users: [{ name: 'nobody', user: {} }],
      contexts: [{ name: 'away', context: { cluster: 'away', user: 'nobody' } }],
      'current-context': 'away',
    }),
  })
  const env = { EDGE_IPAM_KUBERNETES: join(folder, 'kubeconfig') }
  const none = await startService(t)
  const { databaseUrl, adminToken } = none
  const options = { databaseUrl, adminToken, env }
  const [one, other] = [await startService(t, options), await startService(t, options)]
  const looks = () => Promise.all([none, one, other].map(lastLook))
  t.strictSame(await looks(), [undefined, 0, 0])
  const client = new pg.Client(databaseUrl)
  await client.connect()
  await client.query("insert into cluster_look (at) values ('2026-01-01T00:00:00.5Z')")
  t.strictSame(await looks(), [undefined, 1_767_225_600.5, 1_767_225_600.5])
  await client.query('alter table cluster_look rename to cannot_be_read')
  t.strictSame(await looks(), [undefined, undefined, undefined], 'nobody knows, which is not never')
  await client.end()
})
