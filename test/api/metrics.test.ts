import t from 'tap'
import { startService } from '../support/service.js'

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
