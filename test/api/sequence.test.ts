import t, { type Test } from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine, give, makePool, problem, tokenOf } from './support.js'

const service = await startService(t)
const { call } = service
let last = (await give(service, 'first')).sequence

/** The number that the next new allocation takes, if what ran before took none. */
const expectNoneTaken = async (t: Test, nodeName: string) => {
  const { sequence } = await give(service, nodeName)
  t.equal(sequence, last + 1, 'no number was taken meanwhile')
  last = sequence
}

t.test('repetitions, refusals and dry runs take no number', async (t) => {
  await makePool(service, 'full', '10.1.0.1/32')
  last = (await give(service, 'fills', { pool: 'full' })).sequence
  const { secret } = await tokenOf(service, 'join', { namePattern: 'a-*', maxUses: 1 })
  await call('POST', '/v1/allocations', { nodeName: 'first' })
  await call('POST', '/v1/allocations', { nodeName: 'first', displayIp: '192.168.1.1', labels: { a: 'b' } })
  await call('PATCH', '/v1/nodes/first', { displayIp: null })
  await call('POST', '/v1/nodes/first/registration', { reportedIp: '192.168.1.9' })
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'x', pool: 'full' }), 409, 'pool_exhausted')
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'x', address: '10.1.0.1' }), 409, 'address_in_use')
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'first', pool: 'full' }), 409, 'allocation_conflict')
  problem(t, await call('POST', '/v1/allocations', { nodeName: 'b' }, { token: secret }), 403, 'forbidden')
  for (const query of ['?dryRun=true', '?dryRun=true']) {
    t.equal((await call('POST', `/v1/allocations${query}`, { nodeName: 'x' })).body.sequence, last + 1)
  }
  await call('DELETE', '/v1/nodes/first/allocation?force=true')
  await call('DELETE', '/v1/nodes/first/allocation')
  await expectNoneTaken(t, 'second')
})

t.test('a batch that is undone takes none, and a dry run says the numbers that would come', async (t) => {
  const batch = (items: object[], query = '', atomic = true) =>
    call('POST', `/v1/allocations/batch${query}`, { items, atomic })
  const undone = await batch([{ nodeName: 'u-1' }, { nodeName: 'u-2' }, { nodeName: 'u-3', pool: 'full' }])
  t.same(
    undone.body.results.map((one: { status: number }) => one.status),
    [409, 409, 409],
  )
  const items = [{ nodeName: 'd-1' }, { nodeName: 'd-2' }, { nodeName: 'd-1' }]
  for (const atomic of [true, false]) {
    const dry = await batch(items, '?dryRun=true', atomic)
    t.same(
      dry.body.results.map((one: { allocation: { sequence: number } }) => one.allocation.sequence),
      [last + 1, last + 2, last + 1],
      'each its own',
    )
  }
  await expectNoneTaken(t, 'third')
})

t.test(
  'another node UID of a holder takes one number; of a node that comes back, none beside the new one',
  async (t) => {
    const first = await give(service, 'device', { nodeUid: 'u-1' })
    t.equal(first.sequence, ++last)
    t.equal((await give(service, 'device', { nodeUid: 'u-1' })).sequence, last, 'the same one: none')
    const other = await give(service, 'device', { nodeUid: 'u-2' })
    t.match(other, { sequence: ++last, uniqueIp: first.uniqueIp })
    t.equal((await give(service, 'device', { nodeUid: null })).sequence, last, 'forgotten: none')
    t.equal((await give(service, 'device', { nodeUid: 'u-3' })).sequence, last, 'the first that is known again: none')
    await call('DELETE', '/v1/nodes/device/allocation')
    const back = await call('POST', '/v1/allocations', { nodeName: 'device', nodeUid: 'u-4' })
    t.equal(back.status, 201)
    t.match(back.body, { sequence: ++last, nodeUid: 'u-4', uniqueIp: first.uniqueIp })
    const { items } = (await call('GET', '/v1/audit?nodeName=device&limit=2')).body
    t.match(items, [
      { action: 'allocation.created', after: { sequence: last, nodeUid: 'u-4' } },
      { action: 'node.reregistered', before: { nodeUid: 'u-3' }, after: { nodeUid: 'u-4' } },
    ])
    await expectNoneTaken(t, 'fourth')
  },
)

t.test(
  'a node may ask for any address of its own that still rests; nobody else, and nobody after it was forgotten',
  async (t) => {
    await makePool(service, 'own', '10.2.0.0/24')
    const ask = (nodeName: string, address: string) => call('POST', '/v1/allocations', { nodeName, address })
    const release = (name: string) => call('DELETE', `/v1/nodes/${name}/allocation`)
    for (const address of ['10.2.0.10', '10.2.0.11']) {
      t.equal((await ask('wanders', address)).status, 201)
      t.equal((await release('wanders')).status, 200)
    }
    problem(t, await ask('other', '10.2.0.10'), 409, 'address_quarantined', 'not its own')
    t.match((await call('POST', '/v1/allocations?dryRun=true', { nodeName: 'wanders' })).body, {
      uniqueIp: '10.2.0.11',
    })
    const back = await ask('wanders', '10.2.0.10')
    t.equal(back.status, 201, 'not the last one it had, but it was its last node')
    t.match(back.body, { uniqueIp: '10.2.0.10', state: 'allocated', quarantinedUntil: null })
    t.equal((await call('DELETE', '/v1/nodes/wanders')).status, 204)
    t.equal((await ask('wanders', '10.2.0.50')).status, 201, 'known again, as another one')
    await release('wanders')
    problem(t, await ask('wanders', '10.2.0.10'), 409, 'address_quarantined', 'nothing sticks')
    problem(t, await ask('wanders', '10.2.0.11'), 409, 'address_quarantined', 'nothing sticks')
    await endQuarantine(service, '10.2.0.11')
    t.equal((await ask('wanders', '10.2.0.11')).status, 201, 'free for all')
  },
)
