import pg from 'pg'
import t from 'tap'
import { until } from '../faults/support.js'
import { startService } from '../support/service.js'

// After a power cut thousands of nodes ask again for what they hold.

t.test('who holds an address and says nothing new waits for nobody and writes nothing', async (t) => {
  const { call, databaseUrl } = await startService(t, { env: { EDGE_IPAM_POOL: '10.0.0.0/24' } })
  const wish = { nodeName: 'edge-1', displayIp: '192.168.1.10', nodeUid: 'uid-1', labels: { site: 'a' } }
  const { body: held } = await call('POST', '/v1/allocations', wish)
  const before = await audited()

  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  await client.query('select from pools for update')
  await client.query('select from nodes for update')
  await client.query('select from allocations for update')
  const { displayIp, pool, uniqueIp: address } = held
  for (const again of [
    wish,
    { nodeName: 'edge-1' },
    { nodeName: 'edge-1', displayIp },
    { nodeName: 'edge-1', pool },
    { nodeName: 'edge-1', pool, address },
  ]) {
    const answer = await call('POST', '/v1/allocations', again)
    t.equal(answer.status, 200, JSON.stringify(again))
    t.same(answer.body, held)
  }
  let answered = 0
  const count = <T>(answer: T) => {
    answered++
    return answer
  }
  const moved = call('POST', '/v1/allocations', { ...wish, displayIp: '192.168.1.11' }).then(count)
  const other = call('POST', '/v1/allocations', { ...wish, nodeName: 'edge-2' }).then(count)
  await until('they wait for a lock', async () => {
    await client.query('select pg_stat_clear_snapshot()')
    const { rows } = await client.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    return rows.length > 0
  })
  const first = await call('GET', '/v1/nodes/edge-1')
  t.equal(first.body.displayIp, '192.168.1.10', 'what changes something waits')
  t.equal(answered, 0, 'and so does who is new')
  await client.query('commit')
  t.equal((await moved).body.displayIp, '192.168.1.11')
  t.equal((await other).status, 201)
  t.same((await audited()).slice(0, -before.length).sort(), ['allocation.created', 'node.updated'])

  async function audited(): Promise<string[]> {
    const { body } = await call('GET', '/v1/audit')
    return body.items.map(({ action }: { action: string }) => action)
  }
})
