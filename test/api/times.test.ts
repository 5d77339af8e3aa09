import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, paths, problem, sql } from './support.js'

const service = await startService(t)
const { call } = service

t.test('times that are none are refused wherever a time is meant', async (t) => {
  for (const time of [
    '2026-11-21',
    '2026-11-21T08:30Z',
    '2026-11-21 08:30:00Z',
    '2026-11-21T08:30:00',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-21T24:00:00Z',
    '2026-11-21T08:60:00Z',
    '2026-11-21T08:30:00+24:00',
    '+002026-11-21T08:30:00Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59-14:00',
    '1763713800',
    'now',
    '',
  ]) {
    const text = encodeURIComponent(time)
    for (const [path, name] of [
      ['/v1/audit', 'since'],
      ['/v1/audit', 'until'],
      ['/v1/addresses/10.213.0.1', 'at'],
    ]) {
      const answer = await call('GET', `${path}?${name}=${text}`)
      problem(t, answer, 400, 'validation_failed', `${path}?${name}=${time}`)
      t.same(paths(answer), [`?${name}`])
    }
    const token = await call('POST', '/v1/tokens', { role: 'join', expiresAt: time })
    problem(t, token, 400, 'validation_failed', `expiresAt ${time}`)
    t.same(paths(token), ['/expiresAt'])
  }
  for (const time of ['2026-11-21t08:30:00z', '2026-11-21T10:30:00.123456789+02:00', '9999-12-31T23:59:59Z']) {
    t.equal((await call('GET', `/v1/addresses/10.213.0.1?at=${encodeURIComponent(time)}`)).status, 200, time)
  }
})

t.test('who held it is told for the very instants that the audit trail and the answers name', async (t) => {
  await makePool(service, 'p', '10.1.0.0/29', { quarantineSeconds: 3600 })
  const at = async (time: string) => (await call('GET', `/v1/addresses/10.1.0.1?at=${time}`)).body
  const before = (time: string) => new Date(Date.parse(time) - 1).toISOString()
  const given = await give(service, 'a', { address: '10.1.0.1', displayIp: '192.168.1.1' })
  await sql(service.databaseUrl, 'select pg_sleep(0.01)')
  await call('POST', '/v1/nodes/a/registration')
  await sql(service.databaseUrl, 'select pg_sleep(0.01)')
  const released = (await call('DELETE', '/v1/nodes/a/allocation?force=true')).body
  const { items } = (await call('GET', '/v1/addresses/10.1.0.1/history')).body
  const [left, joined, made] = items
  t.same(
    items.map((row: { action: string }) => row.action),
    ['allocation.released', 'allocation.registered', 'allocation.created'],
  )
  t.equal(made.at, given.allocatedAt)
  t.match(await at(before(made.at)), { state: 'free', nodeName: null, sequence: null, since: null })
  t.match(await at(made.at), { state: 'allocated', nodeName: 'a', sequence: given.sequence, since: made.at })
  t.match(await at(before(joined.at)), { state: 'allocated', since: made.at })
  t.match(await at(joined.at), { state: 'registered', nodeName: 'a', displayIp: '192.168.1.1', since: joined.at })
  t.match(await at(before(left.at)), { state: 'registered' })
  t.match(await at(left.at), { state: 'quarantined', nodeName: 'a', sequence: given.sequence, since: left.at })
  t.match(await at(before(released.quarantinedUntil)), { state: 'quarantined', nodeName: 'a' })
  const over = { state: 'free', nodeName: null, displayIp: null, sequence: null, since: released.quarantinedUntil }
  t.match(await at(released.quarantinedUntil), over)
})

t.test('the past outlives the node and the pool, under the name that the pool had', async (t) => {
  await makePool(service, 'old', '10.2.0.0/29', { quarantineSeconds: 0 })
  const { allocatedAt, sequence } = await give(service, 'gone', { address: '10.2.0.1' })
  await call('DELETE', '/v1/nodes/gone')
  await endQuarantine(service, '10.2.0.1')
  t.equal((await call('DELETE', '/v1/pools/old')).status, 204)
  const then = async () => (await call('GET', `/v1/addresses/10.2.0.1?at=${allocatedAt}`)).body
  t.match(await then(), { pool: 'old', state: 'allocated', nodeName: 'gone', sequence })
  t.match((await call('GET', '/v1/addresses/10.2.0.1')).body, { pool: 'old', state: 'free', nodeName: null })
  t.equal((await call('GET', '/v1/addresses/10.2.0.1/history')).status, 200)
  problem(t, await call('GET', '/v1/addresses/10.2.0.2'), 404, 'address_not_found', 'in no pool, without history')
  await makePool(service, 'new', '10.2.0.0/28')
  t.match(await then(), { pool: 'old', nodeName: 'gone' }, 'also when another pool lies there now')
  t.match((await call('GET', '/v1/addresses/10.2.0.1')).body, { pool: 'new', state: 'free' })
})
