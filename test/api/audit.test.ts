import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, fresh, give, makePool, problem, sql, tokenOf, until } from './support.js'

const service = await startService(t)
const { call } = service
const rows = async (query: string) => (await call('GET', `/v1/audit?${query}`)).body.items
// biome-ignore lint/suspicious/noExplicitAny: rows are looked into
const actions = (found: any[]) => found.map((row) => row.action)

t.test('each change leaves one row, and says who, when, by which request, and what', async (t) => {
  const step = async (method: string, path: string, body?: unknown) => {
    const requestId = fresh('step')
    const before = Number((await sql<{ count: string }>(service.databaseUrl, 'select count(*) from audit'))[0]!.count)
    const answer = await call(method, path, body, { headers: { 'x-request-id': requestId } })
    t.ok(answer.status < 300, `${method} ${path}: ${answer.text}`)
    const written = (await rows('limit=10')).slice(
      0,
      Number((await sql<{ count: string }>(service.databaseUrl, 'select count(*) from audit'))[0]!.count) - before,
    )
    for (const row of written) {
      t.equal(row.requestId, requestId)
      t.match(row.actor, /^admin:.+/)
      t.match(row.at, /Z$/)
      t.equal(typeof row.id, 'string')
    }
    return { answer, written }
  }
  const one = (written: unknown[], row: object) => {
    t.equal(written.length, 1, 'one row')
    t.match(written[0], row)
  }
  one((await step('POST', '/v1/pools', { name: 'a', cidr: '10.70.0.0/24' })).written, {
    action: 'pool.created',
    pool: 'a',
    before: null,
    after: { cidr: '10.70.0.0/24' },
  })
  const reserved = await step('POST', '/v1/pools/a/reservations', { start: '10.70.0.9', reason: 'x' })
  one(reserved.written, { action: 'reservation.created', pool: 'a', before: null, after: { start: '10.70.0.9' } })
  one((await step('DELETE', `/v1/pools/a/reservations/${reserved.answer.body.id}`)).written, {
    action: 'reservation.deleted',
    pool: 'a',
    before: { start: '10.70.0.9' },
    after: null,
  })
  const { answer, written } = await step('POST', '/v1/allocations', {
    nodeName: 'n',
    pool: 'a',
    displayIp: '192.168.0.1',
  })
  const address = answer.body.uniqueIp
  one(written, {
    action: 'allocation.created',
    nodeName: 'n',
    address,
    pool: 'a',
    before: null,
    after: { sequence: answer.body.sequence },
  })
  one((await step('PATCH', '/v1/nodes/n', { displayIp: '192.168.0.2' })).written, {
    action: 'node.updated',
    nodeName: 'n',
    before: { displayIp: '192.168.0.1' },
    after: { displayIp: '192.168.0.2' },
  })
  one((await step('PATCH', '/northbound/v1/nodes/n', { labels: { a: 'b' } })).written, {
    action: 'node.updated',
    nodeName: 'n',
    after: { labels: { a: 'b' } },
  })
  one((await step('POST', '/v1/nodes/n/registration')).written, {
    action: 'allocation.registered',
    nodeName: 'n',
    address,
    pool: 'a',
  })
  one((await step('DELETE', '/v1/nodes/n/allocation?force=true')).written, {
    action: 'allocation.released',
    nodeName: 'n',
    address,
    pool: 'a',
  })
  one((await step('DELETE', '/v1/nodes/n')).written, { action: 'node.deleted', nodeName: 'n', after: null })
  const token = await step('POST', '/v1/tokens', { role: 'auditor' })
  one(token.written, { action: 'token.created', before: null, after: { role: 'auditor' } })
  one((await step('DELETE', `/v1/tokens/${token.answer.body.id}`)).written, { action: 'token.deleted', after: null })
  await endQuarantine(service, address)
  const last = await step('DELETE', '/v1/pools/a')
  t.same(
    actions(last.written),
    ['pool.deleted', 'allocation.freed'],
    'a pool that goes frees what was only waiting to be swept',
  )
})

t.test('the actor is role and token', async (t) => {
  const { secret, id } = await tokenOf(service, 'join', { namePattern: 'joins-*' })
  await give(service, 'joins-1', {}, { token: secret })
  const [row] = await rows('nodeName=joins-1')
  t.equal(row.actor, `join:${id}`)
  t.same(actions(await rows(`actor=join:${id}`)), ['allocation.created'])
  t.same(await rows('actor=join:nobody'), [])
})

t.test('the list is newest first and can be narrowed by each of its fields', async (t) => {
  await makePool(service, 'b', '10.71.0.0/24')
  const { uniqueIp } = await give(service, 'filter', { pool: 'b' })
  await call('POST', '/v1/nodes/filter/registration')
  await call('DELETE', '/v1/nodes/filter/allocation?force=true')
  const all = await rows('nodeName=filter')
  t.same(actions(all), ['allocation.released', 'allocation.registered', 'allocation.created'])
  t.same(await rows(`address=${uniqueIp}`), all)
  t.same(actions(await rows('nodeName=filter&action=allocation.registered')), ['allocation.registered'])
  const [released, registered, created] = all
  const names = async (query: string) => actions(await rows(`nodeName=filter&${query}`))
  t.ok((await names(`since=${registered.at}`)).includes('allocation.released'))
  t.notOk((await names(`until=${created.at.replace(/Z$/, 'Z')}`)).includes('allocation.released'))
  t.same(await names(`since=${new Date(Date.parse(released.at) + 60_000).toISOString()}`), [])
  t.same(await names(`until=${new Date(Date.parse(created.at) - 60_000).toISOString()}`), [])
  t.equal((await names(`since=${encodeURIComponent('2020-01-01T00:00:00+02:00')}`)).length, 3, 'any offset')
  t.same(await rows('nodeName=nobody'), [])
  for (const query of [
    'action=allocation',
    'since=yesterday',
    'until=2026-13-01T00:00:00Z',
    'address=1.2.3',
    'nodeName=X',
    'who=me',
  ]) {
    problem(t, await call('GET', `/v1/audit?${query}`), 400, 'validation_failed', query)
  }
})

t.test('what fails leaves no row', async (t) => {
  const before = await rows('limit=1')
  await call('POST', '/v1/pools', { name: 'b', cidr: '10.72.0.0/24' })
  await call('POST', '/v1/allocations', { nodeName: 'fails', pool: 'nowhere' })
  await call('DELETE', '/v1/nodes/nobody')
  t.same(await rows('limit=1'), before)
})

t.test('the sweep leaves a row for each address it frees', async (t) => {
  await makePool(service, 'swept', '10.73.0.0/29', { quarantineSeconds: 0 })
  const { uniqueIp } = await give(service, 'swept', { pool: 'swept' })
  await call('DELETE', '/v1/nodes/swept/allocation')
  // Whoever comes first removes the row, the sweep or the next owner: there is one row of it in either case.
  await give(service, 'next', { address: uniqueIp })
  const found = await until('freed', async () => {
    const seen = await rows(`address=${uniqueIp}&action=allocation.freed`)
    return seen.length > 0 && seen
  })
  t.equal(found.length, 1)
  t.match(found[0], { nodeName: 'swept', pool: 'swept', before: { state: 'quarantined' } })
})

t.test('the trail is append-only, also for who has the database', async (t) => {
  for (const statement of [
    'update audit set actor = $$x$$',
    'delete from audit',
    'truncate audit',
    'delete from audit where false',
  ]) {
    await t.rejects(sql(service.databaseUrl, statement), /append-only/, statement)
  }
})
