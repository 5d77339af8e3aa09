import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, find, give, makePool, paths, problem, tokenOf } from './support.js'

const service = await startService(t)
const { call } = service
await makePool(service, 'p', '10.1.0.0/24')
for (const index of [1, 2, 3, 4, 5, 6]) {
  await give(service, `n-${index}`, { address: `10.1.0.${index}` })
  await call('POST', '/v1/pools/p/reservations', { start: `10.1.0.${index + 100}`, reason: 'x' })
  await makePool(service, `q-${index}`, `10.2.${index}.0/24`)
  await tokenOf(service, 'auditor')
  await find(service, `n-${index}`)
  await call('PATCH', '/v1/nodes/n-1', { displayIp: `192.168.0.${index}` })
}

// Every list there is, but for the networks, which have no pages.
const lists = [
  '/v1/pools',
  '/v1/pools/p/reservations',
  '/v1/allocations',
  '/v1/nodes',
  '/northbound/v1/nodes',
  '/v1/audit',
  '/v1/findings',
  '/v1/addresses/10.1.0.1/history',
  '/v1/tokens',
]
const cursorOf = async (path: string) => (await call('GET', `${path}?limit=2`)).body.nextCursor as string

t.test('a cursor is good for its own list only', async (t) => {
  for (const one of lists) {
    const cursor = await cursorOf(one)
    t.match(cursor, /^[\w-]+$/, 'and fits into a query as it is')
    for (const other of lists) {
      const answer = await call('GET', `${other}?limit=2&cursor=${cursor}`)
      if (one === other) {
        t.equal(answer.status, 200, one)
      } else {
        problem(t, answer, 400, 'validation_failed', `${one} in ${other}`)
        t.same(paths(answer), ['?cursor'])
      }
    }
  }
})

t.test('a cursor that was altered is refused, wherever it was', async (t) => {
  for (const path of lists) {
    const cursor = await cursorOf(path)
    const altered = [
      cursor.slice(1),
      cursor.slice(0, -1),
      `${cursor}A`,
      `${cursor}=`,
      ` ${cursor}`,
      cursor.toUpperCase(),
    ]
    for (const at of [0, 4, 9, Math.floor(cursor.length / 2), cursor.length - 2]) {
      altered.push(cursor.slice(0, at) + (cursor[at] === 'x' ? 'y' : 'x') + cursor.slice(at + 1))
    }
    for (const one of altered) {
      const answer = await call('GET', `${path}?cursor=${encodeURIComponent(one)}`)
      problem(t, answer, 400, 'validation_failed', `${path} ${one}`)
      t.same(paths(answer), ['?cursor'])
    }
  }
})

t.test('a page holds from one to a thousand, and the last one says so', async (t) => {
  for (const path of lists) {
    const all = (await call('GET', `${path}?limit=1000`)).body
    t.equal(all.nextCursor, null)
    t.ok(all.items.length >= 6, path)
    const seen = []
    let cursor: string | null = null
    do {
      const { body } = await call('GET', `${path}?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`)
      t.equal(body.items.length, 1)
      seen.push(...body.items)
      cursor = body.nextCursor
    } while (cursor !== null)
    t.same(seen, all.items, `${path}: one by one they are the same`)
    for (const limit of ['0', '1001', '-1', '1e2', '0x10', '+5', '%205', '5.0', '']) {
      const answer = await call('GET', `${path}?limit=${limit}`)
      problem(t, answer, 400, 'validation_failed', `${path}?limit=${limit}`)
      t.same(paths(answer), ['?limit'])
    }
  }
  problem(t, await call('GET', '/v1/networks?limit=1'), 400, 'validation_failed', 'networks have no pages')
})

t.test('a page goes on where it was though its last item is gone', async (t) => {
  const names = async (path: string, key: string) =>
    (await call('GET', path)).body.items.map((item: Record<string, string>) => item[key])
  const nodes = await cursorOf('/v1/nodes')
  const north = await cursorOf('/northbound/v1/nodes')
  const allocations = await cursorOf('/v1/allocations')
  const pools = await call('GET', '/v1/pools?limit=3')
  t.same((await call('DELETE', '/v1/nodes/n-2')).status, 204)
  await endQuarantine(service, '10.1.0.2')
  t.equal(pools.body.items.at(-1).name, 'q-1')
  t.equal((await call('DELETE', '/v1/pools/q-1')).status, 204)
  t.same(await names(`/v1/nodes?limit=2&cursor=${nodes}`, 'nodeName'), ['n-3', 'n-4'])
  t.same(await names(`/northbound/v1/nodes?limit=2&cursor=${north}`, 'name'), ['n-3', 'n-4'])
  t.same(await names(`/v1/allocations?limit=2&cursor=${allocations}`, 'uniqueIp'), ['10.1.0.3', '10.1.0.4'])
  t.same(await names(`/v1/pools?limit=2&cursor=${pools.body.nextCursor}`, 'name'), ['q-2', 'q-3'])
})
