import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool } from './support.js'

const service = await startService(t)
const { call } = service
await makePool(service, 'six', 'FD07:0::0:0/64', {
  reservations: [{ start: 'FD07::0:00FF', end: 'fd07:0:0:0::1ff', reason: 'x' }],
})
const given = await give(service, 'six', { address: 'FD07:0:0:0::0:1', displayIp: 'FE80:0::00A' })

t.test('whatever the spelling that is sent, the answer has the one of RFC 5952', async (t) => {
  t.match(given, { uniqueIp: 'fd07::1', displayIp: 'fe80::a' })
  const pool = (await call('GET', '/v1/pools/six')).body
  t.match(pool, { cidr: 'fd07::/64', reservations: [{ start: 'fd07::ff', end: 'fd07::1ff' }] })
  const networks = { items: [{ kind: 'pod', cidr: 'FD99:0:0::/48' }] }
  t.equal((await call('PUT', '/v1/networks', networks)).body.items[0].cidr, 'fd99::/48')
  t.equal((await call('PATCH', '/v1/pools/six', { cidr: 'FD07:0:0::0/63' })).body.cidr, 'fd07::/63')
})

t.test('every spelling of an address finds it, in paths and in queries', async (t) => {
  for (const address of ['fd07::1', 'FD07::0001', 'fd07:0:0:0:0:0:0:1', 'fd07::0.0.0.1', 'fd07%3A%3A1']) {
    t.same((await call('GET', `/v1/allocations/${address}`)).body, given, address)
    t.match((await call('GET', `/v1/addresses/${address}`)).body, { address: 'fd07::1', nodeName: 'six' }, address)
    t.equal((await call('GET', `/v1/addresses/${address}/history`)).body.items.length, 1, address)
    t.equal((await call('GET', `/v1/audit?address=${address}`)).body.items.length, 1, address)
    t.match((await call('GET', `/v1/nodes?uniqueIp=${address}`)).body, { items: [{ nodeName: 'six' }] }, address)
    t.equal(
      (await call('POST', '/v1/allocations?dryRun=true', { nodeName: 'six', address: decodeURIComponent(address) }))
        .status,
      200,
    )
  }
  for (const address of ['fe80::a', 'FE80::000A', 'fe80:0:0:0:0:0:0.0.0.10']) {
    for (const path of ['/v1/nodes', '/v1/allocations', '/northbound/v1/nodes']) {
      t.equal((await call('GET', `${path}?displayIp=${address}`)).body.items.length, 1, `${path} ${address}`)
    }
  }
  for (const cidr of ['fd07::/64', 'FD07:0:0::/48', 'fd07::1/128', 'fd07:0:0:0:0:0:0.0.0.0/112', '::/0']) {
    t.equal((await call('GET', `/v1/allocations?cidr=${cidr}`)).body.items.length, 1, cidr)
  }
  for (const cidr of ['fd07:0:0:1::/64', '0.0.0.0/0', 'fd07::2/127']) {
    t.equal((await call('GET', `/v1/allocations?cidr=${cidr}`)).body.items.length, 0, cidr)
  }
})
