import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import pg from 'pg'
import t from 'tap'
import { violations } from '../support/invariants.js'
import { createDatabase } from '../support/postgres.js'
import { startService } from '../support/service.js'
import { startLosingProxy } from './losing-proxy.js'
import { requestTrail } from './settled.js'
import { until } from './support.js'

const result = (status: number) => ({ results: [{ status }, { status }] })
const items = (...names: string[]) => names.map((nodeName) => ({ nodeName }))

/** Each: the request, the statement whose answer is lost (one that is prepared by its name, as Bind has it), what the same request has the next time, what it left. */
const requests = {
  'an allocation': {
    ask: ['POST', '/v1/allocations', { nodeName: 'alone' }],
    loses: /\0allocate\0/,
    again: { status: 200, body: { nodeName: 'alone', uniqueIp: '10.213.0.2' } },
    left: ['allocation.created'],
  },
  'a batch': {
    ask: ['POST', '/v1/allocations/batch', { items: items('b', 'c') }],
    loses: /\0allocate\0/,
    again: { status: 200, body: result(200) },
    left: ['allocation.created', 'allocation.created'],
  },
  'an atomic batch': {
    ask: ['POST', '/v1/allocations/batch', { items: items('d', 'e'), atomic: true }],
    loses: /commit/i,
    again: { status: 200, body: result(200) },
    left: ['allocation.created', 'allocation.created'],
  },
  'a registration': {
    ask: ['POST', '/v1/nodes/held/registration', {}],
    loses: /commit/i,
    again: { status: 200, body: { nodeName: 'held', uniqueIp: '10.213.0.1', sequence: 1 } },
    left: ['allocation.registered'],
  },
  'a change of a node': {
    ask: ['PATCH', '/v1/nodes/held', { displayIp: '192.168.1.10' }],
    loses: /commit/i,
    again: { status: 200, body: { displayIp: '192.168.1.10' } },
    left: ['node.updated'],
  },
  'a release': {
    ask: ['DELETE', '/v1/nodes/held/allocation?force=true'],
    loses: /\0release\0/,
    again: { status: 200, body: { uniqueIp: '10.213.0.1', sequence: 1, state: 'quarantined' } },
    left: ['allocation.released'],
  },
  'a pool': {
    ask: ['POST', '/v1/pools', { name: 'other', cidr: '10.214.0.0/24' }],
    loses: /commit/i,
    again: { status: 409, body: { code: 'pool_exists' } },
    left: ['pool.created'],
  },
  'the end of a pool': {
    ask: ['DELETE', '/v1/pools/other'],
    loses: /commit/i,
    again: { status: 404, body: { code: 'pool_not_found' } },
    left: ['pool.deleted'],
  },
} as const

t.test('a connection that is lost between the commit and its answer', { timeout: 120_000 }, async (t) => {
  const databaseUrl = await createDatabase(t)
  const proxy = await startLosingProxy(t, databaseUrl)
  const service = await startService(t, { databaseUrl: proxy.url })
  t.equal((await service.call('POST', '/v1/allocations', { nodeName: 'held' })).body.uniqueIp, '10.213.0.1')
  for (const [index, [what, { ask, loses, again, left }]] of Object.entries(requests).entries()) {
    const [method, path, body] = ask
    const id = `request-${index}`
    const call = () => service.call(method, path, body, { headers: { 'x-request-id': id } })
    const lost = proxy.loseAnswerTo(loses)
    const [first] = await Promise.all([call(), lost])
    t.match(first, { status: 503, body: { code: 'store_unavailable' } }, `${what}: 503, for nobody knows`)
    t.match(first.headers.get('retry-after'), /^[1-9]\d*$/)
    const trail = async () => (await requestTrail(databaseUrl)).filter(({ requestId }) => requestId === id)
    const actions = (await trail()).map(({ action }) => action)
    t.same(actions, left, `${what}: it is done`)
    t.match(await call(), again, `${what}: the same request finds it done`)
    t.equal((await trail()).length, left.length, `${what}: and does it no second time`)
  }
  t.same(await violations(databaseUrl), [])
})

t.test('callers who hang up do not hurt those who share their batch', { timeout: 120_000 }, async (t) => {
  const service = await startService(t)
  const connect = async () => {
    const client = new pg.Client({ connectionString: service.databaseUrl })
    await client.connect()
    t.teardown(() => client.end())
    return client
  }
  const [blocker, watcher] = [await connect(), await connect()]
  await blocker.query('begin')
  await blocker.query('select from pools for update')
  const first = service.call('POST', '/v1/allocations', { nodeName: 'first' })
  await until('the first one waits for the pool', async () => {
    const { rows } = await watcher.query(`select count(*)::int as waiting from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    return rows[0].waiting > 0
  })

  // All of these come while it waits, so they are for the next batch.
  const names = Array.from({ length: 12 }, (_, number) => `node-${number}`)
  const hasPatience = (name: string) => Number(name.slice(5)) % 2 === 0
  const patient = names.filter(hasPatience).map((nodeName) => service.call('POST', '/v1/allocations', { nodeName }))
  const leaving = names
    .filter((name) => !hasPatience(name))
    .map((nodeName) => {
      const headers = { authorization: `Bearer ${service.adminToken}`, 'content-type': 'application/json' }
      const request = httpRequest(`${service.url}/v1/allocations`, { method: 'POST', agent: false, headers })
      request.on('error', () => {})
      request.end(JSON.stringify({ nodeName }))
      return request
    })
  await Promise.all(leaving.map((request) => once(request, 'finish')))
  // Who came later has been answered, so they have been read.
  for (let turn = 0; turn < 3; turn++) await service.call('GET', '/livez')
  for (const request of leaving) request.destroy()
  await blocker.query('commit')

  t.equal((await first).status, 201)
  for (const { status, text } of await Promise.all(patient)) t.equal(status, 201, text)
  const batches = await until('all are served', async () => {
    const { text } = await service.call('GET', '/metrics')
    const number = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
    return number('edge_ipam_allocation_batch_size_sum') === 13 && number('edge_ipam_allocation_batch_size_count')
  })
  t.ok(batches < 6, `in few batches: ${batches}`)
  for (const nodeName of names) {
    const { status } = await service.call('POST', '/v1/allocations', { nodeName })
    t.equal(status, 200, `${nodeName} has its address, whether it waited for it or not`)
  }
  t.same(
    service.lines.filter((line) => /"level":(50|60)/.test(line)),
    [],
    'it is no error of ours',
  )
  t.same(await violations(service.databaseUrl), [])
})
