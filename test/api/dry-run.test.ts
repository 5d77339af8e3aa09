import t from 'tap'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, snapshot, tokenOf } from './support.js'

const service = await startService(t)
const { call } = service

await makePool(service, 'used', '10.90.0.0/24')
await makePool(service, 'empty', '10.91.0.0/24', { reservations: [{ start: '10.91.0.1', reason: 'gateway' }] })
const reservation = (await call('GET', '/v1/pools/empty')).body.reservations[0].id
await give(service, 'held', { address: '10.90.0.7', displayIp: '192.168.1.1', nodeUid: 'u-1' })
await give(service, 'leaves', { address: '10.90.0.10' })
await give(service, 'leaves-too', { address: '10.90.0.11' })
await give(service, 'in', { address: '10.90.0.8' })
await call('POST', '/v1/nodes/in/registration')
await give(service, 'out', { address: '10.90.0.9' })
await call('DELETE', '/v1/nodes/out/allocation')
const doomed = await tokenOf(service, 'auditor')

// Times are those of the moment, ids and secrets are made anew: all else is the same.
const changing = /"(createdAt|updatedAt|allocatedAt|registeredAt|quarantinedUntil|id|secret|requestId)":("[^"]*"|null)/g
const bare = (text: string) => text.replace(changing, '"$1":…').replace(/,"secret":…/, '')

const changes: [method: string, path: string, body: unknown, status: number][] = [
  [
    'POST',
    '/v1/pools',
    { name: 'new', cidr: '10.92.0.0/24', reservations: [{ start: '10.92.0.1', reason: 'x' }] },
    201,
  ],
  ['POST', '/v1/pools', { name: 'bad', cidr: '10.90.0.0/24' }, 409],
  ['POST', '/v1/pools/used/reservations', { start: '10.90.0.20', end: '10.90.0.30', reason: 'x' }, 201],
  ['POST', '/v1/pools/used/reservations', { start: '10.90.0.7', reason: 'x' }, 409],
  ['DELETE', `/v1/pools/empty/reservations/${reservation}`, undefined, 204],
  ['POST', '/v1/allocations', { nodeName: 'fresh', displayIp: '192.168.1.2', labels: { a: 'b' } }, 201],
  ['POST', '/v1/allocations', { nodeName: 'fresh-2', address: '10.90.0.77' }, 201],
  ['POST', '/v1/allocations', { nodeName: 'held', displayIp: '192.168.1.3' }, 200],
  ['POST', '/v1/allocations', { nodeName: 'held', nodeUid: 'u-2' }, 200],
  ['POST', '/v1/allocations', { nodeName: 'out' }, 201],
  ['POST', '/v1/allocations', { nodeName: 'thief', address: '10.90.0.7' }, 409],
  ['PATCH', '/v1/nodes/held', { displayIp: '192.168.1.4', labels: { c: 'd' } }, 200],
  ['PATCH', '/northbound/v1/nodes/held', { displayIp: null }, 200],
  ['POST', '/v1/nodes/held/registration', { nodeUid: 'u-3', reportedIp: '192.168.9.9' }, 200],
  ['POST', '/v1/nodes/unannounced/registration?allocate=true', undefined, 200],
  ['DELETE', '/v1/nodes/leaves/allocation', undefined, 200],
  ['DELETE', '/v1/nodes/leaves/allocation', undefined, 200],
  ['DELETE', '/v1/allocations/10.90.0.11', undefined, 200],
  ['DELETE', '/v1/nodes/in/allocation', undefined, 409],
  ['DELETE', '/v1/nodes/in/allocation?force=true', undefined, 200],
  ['DELETE', '/v1/nodes/out', undefined, 204],
  ['PATCH', '/v1/pools/used', { cidr: '10.90.0.0/23', state: 'draining', priority: 7 }, 200],
  ['PATCH', '/v1/pools/used', { cidr: '10.90.0.0/15' }, 409],
  ['PATCH', '/v1/pools/used', { cidr: '10.90.0.0/25' }, 422],
  ['PUT', '/v1/networks', { items: [{ kind: 'pod', cidr: '10.244.0.0/16', description: null }] }, 200],
  ['PUT', '/v1/networks', { items: [{ kind: 'pod', cidr: '10.90.0.0/16' }] }, 409],
  ['POST', '/v1/allocations/batch', { items: [{ nodeName: 'b-1' }, { nodeName: 'B' }, { nodeName: 'b-1' }] }, 200],
  ['POST', '/v1/allocations/batch', { items: [{ nodeName: 'b-2' }, { nodeName: 'b-3' }], atomic: true }, 200],
  ['POST', '/v1/tokens', { role: 'join', namePattern: 'a-*', maxUses: 3 }, 201],
  ['DELETE', `/v1/tokens/${doomed.id}`, undefined, 204],
  ['DELETE', '/v1/pools/empty', undefined, 204],
]

for (const change of changes) {
  const [method, path, body, status] = change
  t.test(`${method} ${path} → ${status}: a dry run answers the same and keeps nothing`, async (t) => {
    const before = await snapshot(service)
    const with_ = (value: string) => `${path}${path.includes('?') ? '&' : '?'}dryRun=${value}`
    const dry = await call(method, with_('true'), body)
    t.equal(dry.status, status, dry.text)
    t.same(await snapshot(service), before, 'nothing is kept, no sequence number is taken')
    t.equal(dry.body?.secret, undefined, 'and no secret is made')
    for (const query of [
      'dryRun=yes',
      'dryRun=1',
      'dryRun=TRUE',
      'dryRun=',
      'dryrun=true',
      'dry_run=true',
      'dryRun=true&dryRun=true',
    ]) {
      const wrong = await call(method, `${path}${path.includes('?') ? '&' : '?'}${query}`, body)
      problem(t, wrong, 400, 'validation_failed', query)
      // The northbound side never repeats what was sent, not even a name.
      t.match(paths(wrong)[0], path.startsWith('/northbound') ? /^\?/ : /^\?dry/i)
    }
    t.same(await snapshot(service), before, 'a mistyped dry run changes nothing either')
    const done = await call(method, with_('false'), body)
    t.equal(done.status, status)
    t.equal(bare(done.text), bare(dry.text), 'the same answer when it is done')
    t.same([...dry.headers.keys()].sort(), [...done.headers.keys()].sort(), 'and the same headers')
    // Releasing what is released already changes nothing.
    const repeated = changes.indexOf(change) > 0 && changes[changes.indexOf(change) - 1]?.[1] === path
    if (status < 300 && !repeated) t.notSame(await snapshot(service), before, 'which changes something')
  })
}

t.test('what is no change has no dry run', async (t) => {
  for (const path of [
    '/v1/pools',
    '/v1/nodes',
    '/v1/nodes/held',
    '/northbound/v1/nodes',
    '/v1/audit',
    '/v1/findings',
    '/v1/nodes/held/unique-ip',
  ]) {
    problem(t, await call('GET', `${path}?dryRun=true`), 400, 'validation_failed', path)
  }
})
