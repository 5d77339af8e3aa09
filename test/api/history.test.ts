import t from 'tap'
import { startService } from '../support/service.js'

t.test('who had an address, and when', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.0.0.0/29' } })
  const at = (time?: string) => service.call('GET', `/v1/addresses/10.0.0.1${time ? `?at=${time}` : ''}`)

  await t.test('an address that nobody had is free; one of no pool is not known', async (t) => {
    t.match((await at()).body, { address: '10.0.0.1', pool: 'default', state: 'free', nodeName: null, since: null })
    t.match(await service.call('GET', '/v1/addresses/10.9.9.9'), { status: 404, body: { code: 'address_not_found' } })
    t.match(await service.call('GET', '/v1/addresses/10.9.9.9/history'), { status: 404 })
    t.equal((await service.call('GET', '/v1/addresses/10.0.0.1/history')).body.items.length, 0)
    t.equal((await at('yesterday')).status, 400)
  })

  const { body: allocated } = await service.call('POST', '/v1/allocations', { nodeName: 'a', displayIp: '192.168.1.1' })
  await service.call('POST', '/v1/nodes/a/registration')
  const { body: moved } = await service.call('PATCH', '/v1/nodes/a', { displayIp: '192.168.1.2' })
  const { body: released } = await service.call('DELETE', '/v1/nodes/a/allocation?force=true')
  await service.call('DELETE', '/v1/nodes/a')

  await t.test('the past is told though the node is forgotten', async (t) => {
    const just = (time: string) => new Date(Date.parse(time) - 1).toISOString()
    t.match((await at(just(allocated.allocatedAt))).body, { state: 'free', nodeName: null })
    t.match((await at(allocated.allocatedAt)).body, {
      state: 'allocated',
      nodeName: 'a',
      displayIp: '192.168.1.1',
      sequence: allocated.sequence,
      since: allocated.allocatedAt,
    })
    t.match((await at(moved.updatedAt)).body, { state: 'registered', displayIp: '192.168.1.2' })
    t.match((await at()).body, { state: 'quarantined', nodeName: 'a', displayIp: '192.168.1.2' })
    t.match((await at(released.quarantinedUntil)).body, {
      state: 'free',
      nodeName: null,
      since: released.quarantinedUntil,
    })
  })

  await t.test('the history comes newest first, in pages', async (t) => {
    const first = (await service.call('GET', '/v1/addresses/10.0.0.1/history?limit=2')).body
    t.strictSame(
      first.items.map((one: { action: string }) => one.action),
      ['allocation.released', 'node.updated'],
    )
    const rest = (await service.call('GET', `/v1/addresses/10.0.0.1/history?cursor=${first.nextCursor}`)).body
    t.strictSame(
      rest.items.map((one: { action: string }) => one.action),
      ['allocation.registered', 'allocation.created'],
    )
    t.equal(rest.nextCursor, null)
  })
})
