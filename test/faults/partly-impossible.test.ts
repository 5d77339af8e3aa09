import t from 'tap'
import { give, makePool, tokenOf } from '../api/support.js'
import { type Answer, type Service, startService } from '../support/service.js'
import { expectNoErrors, expectSound, pileUp } from './pile.js'

// Callers who come at one moment are served together. What one of them cannot have is no matter of the others.

interface Caller {
  who: string
  ask: () => Promise<Answer>
  /** Its status, and the code of its problem; more than one where two callers want the same, and one of them has it. */
  gets: string | string[]
}

/** Everything that a caller may want, all of it together, each with a node of its own. */
async function callersOf(service: Service): Promise<Caller[]> {
  const { call } = service
  for (const [name, cidr] of Object.entries({
    full: '10.1.0.0/30',
    last: '10.1.1.0/30',
    closing: '10.1.2.0/24',
    closed: '10.1.3.0/24',
    other: '10.1.4.0/24',
  })) {
    await makePool(service, name, cidr, { priority: 200 })
  }
  for (const one of ['full-1', 'full-2']) await give(service, one, { pool: 'full' })
  await give(service, 'last-1', { pool: 'last' })
  await give(service, 'early', { pool: 'closed' })
  await call('PATCH', '/v1/pools/closing', { state: 'draining' })
  await call('PATCH', '/v1/pools/closed', { state: 'disabled' })
  await call('POST', '/v1/pools/other/reservations', { start: '10.1.4.9', reason: 'a printer' })
  const taken = await give(service, 'taken', { address: '10.1.4.1', pool: 'other' })
  const rests = await give(service, 'rests', { address: '10.1.4.2', pool: 'other' })
  await give(service, 'returns')
  for (const one of ['rests', 'returns']) await call('DELETE', `/v1/nodes/${one}/allocation`)
  const held = Object.fromEntries(
    await Promise.all(
      ['same', 'moved', 'elsewhere', 'goes', 'goes-by-address', 'stays', 'joined', 'joins', 'joins-late'].map(
        async (name) => [name, await give(service, name)],
      ),
    ),
  )
  await call('POST', '/v1/nodes/joined/registration')
  const { secret: used } = await tokenOf(service, 'join', { maxUses: 1 })
  await give(service, 'used', {}, { token: used })
  const { secret: once } = await tokenOf(service, 'join', { maxUses: 1 })

  const wants =
    (nodeName: string, more: object = {}, token?: string) =>
    () =>
      call('POST', '/v1/allocations', { nodeName, ...more }, token === undefined ? {} : { token })
  const goes = (path: string, ifMatch?: number) => () =>
    call('DELETE', path, undefined, { headers: ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` } })
  const joins = (path: string, ifMatch?: number) => () =>
    call('POST', `/v1/nodes/${path}`, {}, { headers: ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` } })
  const rivals = (who: string, two: [Caller['ask'], Caller['ask']], gets: string[]) =>
    two.map((ask) => ({ who, ask, gets }))
  return [
    ...['a', 'b', 'c', 'd'].map((one) => ({ who: `new, ${one}`, ask: wants(`new-${one}`), gets: '201' })),
    { who: 'wants of a full pool', ask: wants('too-late', { pool: 'full' }), gets: '409 pool_exhausted' },
    ...rivals(
      'two want the last address of a pool',
      [wants('rival-1', { pool: 'last' }), wants('rival-2', { pool: 'last' })],
      ['201', '409 pool_exhausted'],
    ),
    { who: 'wants of no pool', ask: wants('lost', { pool: 'none' }), gets: '404 pool_not_found' },
    { who: 'wants of a pool that closes', ask: wants('no', { pool: 'closing' }), gets: '409 pool_not_active' },
    { who: 'holds elsewhere', ask: wants('elsewhere', { pool: 'other' }), gets: '409 allocation_conflict' },
    { who: 'wants a held address', ask: wants('x', { address: taken.uniqueIp }), gets: '409 address_in_use' },
    { who: 'wants a resting one', ask: wants('y', { address: rests.uniqueIp }), gets: '409 address_quarantined' },
    { who: 'wants a reserved one', ask: wants('z', { address: '10.1.4.9' }), gets: '422 address_reserved' },
    { who: 'wants one of no pool', ask: wants('w', { address: '10.9.9.9' }), gets: '422 address_not_in_pool' },
    { who: 'has a token that is used up', ask: wants('v', {}, used), gets: '403 forbidden' },
    { who: 'has a token that is used up, and an address by it', ask: wants('used', {}, used), gets: '200' },
    ...rivals(
      'two have a token that is good for one',
      [wants('one', {}, once), wants('two', {}, once)],
      ['201', '403 forbidden'],
    ),
    { who: 'asks again', ask: wants('same'), gets: '200' },
    { who: 'has moved', ask: wants('moved', { displayIp: '192.168.1.10' }), gets: '200' },
    { who: 'returns', ask: wants('returns'), gets: '201' },
    ...rivals('asks twice', [wants('twice'), wants('twice')], ['200', '201']),
    { who: 'goes', ask: goes('/v1/nodes/goes/allocation', held.goes.sequence), gets: '200' },
    { who: 'goes, by address', ask: goes(`/v1/allocations/${held['goes-by-address'].uniqueIp}`), gets: '200' },
    { who: 'means another allocation', ask: goes('/v1/nodes/stays/allocation', 1), gets: '412 precondition_failed' },
    { who: 'goes while it is there', ask: goes('/v1/nodes/joined/allocation'), gets: '409 node_still_registered' },
    { who: 'goes, and is unknown', ask: goes('/v1/nodes/nobody/allocation'), gets: '404 allocation_not_found' },
    { who: 'joins', ask: joins('joins/registration'), gets: '200' },
    { who: 'joins again', ask: joins('joined/registration'), gets: '200' },
    { who: 'joins, and is another', ask: joins('joins-late/registration', 1), gets: '412 precondition_failed' },
    { who: 'joins, and is unknown', ask: joins('nobody/registration'), gets: '404 node_not_found' },
    { who: 'joins, and nobody announced it', ask: joins('news/registration?allocate=true'), gets: '200' },
    { who: 'joins in a pool that is closed', ask: joins('early/registration'), gets: '409 pool_not_active' },
  ]
}

for (const order of ['in one order', 'in the other order']) {
  t.test(`what some cannot have costs the others nothing, ${order}`, { timeout: 120_000 }, async (t) => {
    const service = await startService(t)
    const callers = await callersOf(service)
    if (order !== 'in one order') callers.reverse()
    const served = await batches(service)
    const pile = await pileUp(t, service, service.databaseUrl)
    const first = () => service.call('POST', '/v1/allocations', { nodeName: 'first' })
    const waiting = await pile.add([first, ...callers.map(({ ask }) => ask)])
    await pile.go()
    const [before, ...answers] = await Promise.all(waiting)
    t.equal(before!.status, 201, 'whom they wait for is served')
    const got = new Map<string, string[]>()
    for (const [index, { who }] of callers.entries()) {
      const { status, body } = answers[index]!
      got.set(who, [...(got.get(who) ?? []), [status, body?.code].filter(Boolean).join(' ')].sort())
    }
    for (const { who, gets } of callers) t.same(got.get(who), [gets].flat(), who)
    const { callers: allocations, trips } = await batches(service, served)
    t.ok(trips < allocations / 2, `they shared their batches: ${allocations} callers, ${trips} batches`)
    await expectSound(t, service, service.databaseUrl)
    expectNoErrors(t, service)
  })
}

/** How many callers there were for an address, and how many batches that served them, since then. */
async function batches(service: Service, since = { callers: 0, trips: 0 }) {
  const { text } = await service.call('GET', '/metrics')
  const number = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
  return {
    callers: number('edge_ipam_allocation_batch_size_sum') - since.callers,
    trips: number('edge_ipam_allocation_batch_size_count') - since.trips,
  }
}
