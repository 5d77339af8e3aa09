import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { type Finding, findingKinds, keyOf, ofNode, subjectKinds } from '../../src/core/finding.js'
import type { ClusterNode, Held } from '../../src/core/pictures.js'
import { MOST_ABSENCES } from '../../src/core/sightings.js'
import {
  allocatedNow,
  countOpenFindings,
  keepFindings,
  listFindings,
  noteSightings,
} from '../../src/domain/findings.js'
import { FindingKind, FindingOnWire } from '../../src/schemas/finding.js'
import type { Executor } from '../../src/store/database.js'
import { goneNodes, neverJoined } from '../../src/store/gone.js'
import { openTestDatabase } from '../support/database.js'

const context = async (t: Pick<Test, 'teardown'>) => ({ db: await openTestDatabase(t), dryRun: false })
type Kept = Awaited<ReturnType<typeof context>>

const gone = (name: string, message = 'gone') => ofNode(name, 'node_gone', message)
const service: Finding = {
  kind: 'stale_reference',
  subject: { kind: 'Service', namespace: 'shop', name: 'front' },
  message: 'stale',
}
const keys = (found: readonly Finding[]) => found.map(keyOf).sort()
const list = (kept: Kept, resolved = false) => listFindings(kept, { resolved }, { limit: 1_000, after: null })

/** The version of every row: another one, as soon as the row is written or so much as locked. */
async function versions(db: Executor, table: 'findings' | 'sightings'): Promise<unknown[]> {
  return (await sql`select ctid::text, xmin::text, xmax::text from ${sql.table(table)} order by ctid`.execute(db)).rows
}

t.test(
  'a finding is raised once, keeps its beginning, takes new words, and is over when it is not found',
  async (t) => {
    const kept = await context(t)
    t.same(keys((await keepFindings(kept, [gone('a'), service])).raised), [keyOf(gone('a')), keyOf(service)])
    const [before] = await list(kept)
    t.same(await keepFindings(kept, [gone('a', 'other words'), service]), { raised: [], resolved: [] })
    const [after] = await list(kept)
    t.match(after, { id: before?.id, since: before?.since, message: 'other words', resolvedAt: null })
    t.same(await keepFindings(kept, [service]), { raised: [], resolved: [gone('a', 'other words')] })
    t.same((await list(kept)).map(keyOf), [keyOf(service)])
    const [over] = await list(kept, true)
    t.match(over, { id: before?.id, since: before?.since, nodeName: 'a' })
    t.ok(over!.lastSeen <= over!.resolvedAt! && over!.since <= over!.lastSeen)
    t.same(keys((await keepFindings(kept, [gone('a')])).raised), [keyOf(gone('a'))], 'and it may begin again')
    t.not((await list(kept)).find(({ nodeName }) => nodeName === 'a')?.id, before?.id, 'as another one')
  },
)

t.test('subjects of one name in two namespaces, or of two kinds, are two', async (t) => {
  const kept = await context(t)
  const other: Finding = { ...service, subject: { ...service.subject, namespace: 'garden' } }
  const slice: Finding = { ...service, subject: { ...service.subject, kind: 'EndpointSlice' } }
  t.equal((await keepFindings(kept, [service, other, slice])).raised.length, 3)
  t.same(keys((await keepFindings(kept, [other])).resolved), keys([service, slice]))
})

t.test('five thousand findings are kept at once, and where nothing has changed no row is written', async (t) => {
  const kept = await context(t)
  const many = Array.from({ length: 5_000 }, (_, i) => gone(`edge-${i}`, `It still holds 10.0.${i >> 8}.${i & 255}.`))
  t.equal((await keepFindings(kept, many)).raised.length, 5_000)
  const before = await versions(kept.db, 'findings')
  t.same(await keepFindings(kept, many.toReversed()), { raised: [], resolved: [] })
  t.strictSame(await versions(kept.db, 'findings'), before)
  t.equal((await keepFindings(kept, [])).resolved.length, 5_000)
})

t.test('replicas that look at the same time raise a finding once', async (t) => {
  const kept = await context(t)
  const many = Array.from({ length: 200 }, (_, i) => gone(`edge-${i}`))
  const all = await Promise.all([many, many.toReversed(), many].map((found) => keepFindings(kept, found)))
  t.equal(all.flatMap(({ raised }) => raised).length, 200)
  t.equal((await list(kept)).length, 200)
})

t.test('the last look is told of what is open, and of what is over the last look that found it', async (t) => {
  const kept = await context(t)
  await keepFindings(kept, [gone('a'), gone('b')])
  await sql`update findings set since = since - interval '2 days'`.execute(kept.db)
  await sql`update cluster_look set at = at - interval '1 day'`.execute(kept.db)
  const look = (await list(kept))[0]!.lastSeen
  t.ok(look > (await list(kept))[0]!.since)
  await keepFindings(kept, [gone('b')])
  t.ok((await list(kept))[0]!.lastSeen > look, 'looked at again')
  t.equal((await list(kept, true))[0]?.lastSeen, look)
})

t.test('what is over for a month is forgotten', async (t) => {
  const kept = await context(t)
  await keepFindings(kept, [gone('a'), gone('b'), gone('c')])
  await keepFindings(kept, [gone('c')])
  await sql`update findings set resolved_at = resolved_at - interval '31 days' where subject_name = 'a'`.execute(
    kept.db,
  )
  await sql`update findings set resolved_at = resolved_at - interval '29 days' where subject_name = 'b'`.execute(
    kept.db,
  )
  await sql`update findings set since = since - interval '99 days' where subject_name = 'c'`.execute(kept.db)
  await keepFindings(kept, [gone('c')])
  t.same(
    (await list(kept, true)).map(({ nodeName }) => nodeName),
    ['b'],
  )
  t.same(
    (await list(kept)).map(({ nodeName }) => nodeName),
    ['c'],
  )
})

t.test('a dry run keeps nothing, and says what it would', async (t) => {
  const kept = await context(t)
  t.equal((await keepFindings({ ...kept, dryRun: true }, [gone('a')])).raised.length, 1)
  t.same(await list(kept), [])
})

t.test('code, database and wire know the same kinds', async (t) => {
  const { db } = await context(t)
  const { rows } = await sql<{ kind: string }>`select unnest(enum_range(null::finding_kind))::text as kind`.execute(db)
  t.same(
    rows.map(({ kind }) => kind),
    findingKinds,
  )
  t.same((FindingKind as unknown as { enum: string[] }).enum, findingKinds)
  t.same((FindingOnWire.properties.subject.properties.kind as unknown as { enum: string[] }).enum, subjectKinds)
  await keepFindings(
    { db, dryRun: false },
    findingKinds.map((kind) => ({ ...service, kind })),
  )
  t.same(
    (await countOpenFindings(db)).map(({ kind, count }) => [kind, count]).sort(),
    findingKinds.map((kind) => [kind, 1]).sort(),
  )
})

t.test('what is allocated is told with its age, and who had what is named', async (t) => {
  const { db } = await context(t)
  await sql
    .raw(`
      insert into pools (name, cidr) values ('p', '10.0.0.0/24');
      insert into nodes (name, display_ip, node_uid) values ('a', '192.168.1.10', 'u');
      insert into allocations (address, pool_id, node_name, sequence, allocated_at) values
        ('10.0.0.1', 1, 'a', 1, now() - interval '3 days'), ('10.0.0.2', 1, 'b', 2, now() - interval '3 days'),
        ('10.0.0.3', 1, 'c', 3, now());
      update allocations set state = 'registered', registered_at = now() - interval '1 day' where node_name = 'b';
      update allocations set state = 'quarantined', quarantined_until = now() where node_name = 'c';
      insert into audit (at, action, actor, node_name, address) values
        ('2026-01-01Z', 'allocation.created', 'x', 'c', '10.0.0.3'), ('2026-01-02Z', 'allocation.released', 'x', 'c', '10.0.0.3'),
        ('2026-01-03Z', 'allocation.freed', 'x', 'c', '10.0.0.3'), ('2026-01-04Z', 'allocation.created', 'x', 'd', '10.0.0.3'),
        ('2026-01-05Z', 'allocation.created', 'x', 'e', '10.0.0.5');
      insert into networks (kind, cidr) values ('docker', '172.17.0.0/16')`)
    .execute(db)
  const addresses = ['10.0.0.3', '10.0.0.9', 'lb.example', ''].map((address) => ({ address, nodeName: undefined }))
  const { pools, held, networks, former } = await allocatedNow({ db }, [
    { subject: service.subject, writtenAt: 0, addresses },
  ])
  t.same(pools, [{ name: 'p', cidr: '10.0.0.0/24' }])
  t.match(networks, [{ kind: 'docker', cidr: '172.17.0.0/16' }])
  const day = (number: number) => Date.UTC(2026, 0, number)
  t.same(
    former.toSorted((a, b) => a.from - b.from),
    [
      { address: '10.0.0.3', nodeName: 'c', from: day(1), until: day(2) },
      { address: '10.0.0.3', nodeName: 'd', from: day(4), until: null },
    ],
  )
  const days = held.map(({ age, ...one }) => ({ ...one, days: Math.floor(age / 86_400_000) }))
  t.same(
    days.sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1)),
    [
      { nodeName: 'a', uniqueIp: '10.0.0.1', state: 'allocated', displayIp: '192.168.1.10', nodeUid: 'u', days: 3 },
      { nodeName: 'b', uniqueIp: '10.0.0.2', state: 'registered', displayIp: null, nodeUid: null, days: 1 },
    ],
  )
})

const machine = (id: string) => ({ machineId: id, systemUuid: '', bootId: '' })
const node = (name: string, address: string, id = name): ClusterNode => ({
  name,
  isEdge: true,
  internalIps: [address],
  podCidrs: [],
  machine: machine(id),
})
const held = (nodeName: string, state: Held['state'] = 'registered'): Held => ({
  nodeName,
  uniqueIp: '',
  displayIp: null,
  nodeUid: null,
  state,
  age: 0,
})

t.test('machines and addresses of a node are remembered, and nothing is written while they stay', async (t) => {
  const kept = await context(t)
  await noteSightings(kept, [node('a', '10.0.0.1', 'x'), node('b', '10.0.0.2')], [])
  const before = await versions(kept.db, 'sightings')
  await noteSightings(kept, [node('b', '10.0.0.2'), node('a', '10.0.0.1', 'x')], [])
  t.strictSame(await versions(kept.db, 'sightings'), before)
  await noteSightings(kept, [node('a', '10.0.0.9', 'y'), node('b', '10.0.0.2')], [])
  const { sightings, now } = await noteSightings(kept, [node('a', '10.0.0.1', 'x'), node('b', '10.0.0.2')], [])
  t.same(
    sightings.get('a')?.machines.map(({ machineId }) => machineId),
    ['x', 'y', 'x'],
  )
  t.same(sightings.get('a')?.addresses, ['10.0.0.1', '10.0.0.9'])
  t.ok(
    sightings.get('a')!.machines.every(({ at }) => at <= now && at > now - 3_600_000),
    'by the clock of the database',
  )
  t.match(sightings.get('b'), { absentSince: null, absences: 0 })
})

t.test('who is missing is counted, from the first time on, until it is back', async (t) => {
  const kept = await context(t)
  const [a, b] = [node('a', '10.0.0.1'), node('b', '10.0.0.2')]
  await noteSightings(kept, [a, b], [])
  await keepFindings(kept, [])
  const look = async (nodes: ClusterNode[], allocated: Held[] = []) =>
    (await noteSightings(kept, nodes, allocated)).sightings
  const first = (await look([b])).get('a')!
  t.equal(first.absences, 1)
  t.type(first.absentSince, 'number')
  t.ok(first.lastSeen! <= first.absentSince!)
  t.match((await look([b])).get('a'), { absences: 2, absentSince: first.absentSince, lastSeen: first.lastSeen })
  t.match((await look([])).get('a'), { absences: 2 }, 'an empty cluster is not believed')
  t.match((await look([])).get('b'), { absences: 0 })
  t.match((await look([a, b])).get('a'), { absences: 0, absentSince: null, lastSeen: null })
  t.match((await look([b])).get('a'), { absences: 1 }, 'and counted anew')
  const never = await look([b], [held('never-seen'), held('waits', 'allocated')])
  t.match(never.get('never-seen'), { absences: 1, lastSeen: null }, 'who is registered ought to be there')
  t.notOk(never.has('waits'))
})

t.test('who is gone for good is not written for ever', async (t) => {
  const kept = await context(t)
  const b = node('b', '10.0.0.2')
  await noteSightings(kept, [node('a', '10.0.0.1'), b], [])
  for (let look = 0; look < MOST_ABSENCES; look++) await noteSightings(kept, [b], [])
  const before = await versions(kept.db, 'sightings')
  t.match((await noteSightings(kept, [b], [])).sightings.get('a'), { absences: MOST_ABSENCES })
  t.strictSame(await versions(kept.db, 'sightings'), before)
})

t.test('who is missing for a month and holds nothing is forgotten', async (t) => {
  const kept = await context(t)
  const b = node('b', '10.0.0.2')
  await sql
    .raw(`
      insert into pools (name, cidr) values ('p', '10.0.0.0/24');
      insert into allocations (address, pool_id, node_name, sequence, allocated_at) values ('10.0.0.1', 1, 'holds', 1, now());
      insert into sightings (name, absent_since, absences)
      select name, now() - interval '31 days', ${MOST_ABSENCES} from unnest('{holds,holds-nothing}'::text[]) name`)
    .execute(kept.db)
  t.same([...(await noteSightings(kept, [b], [])).sightings.keys()].sort(), ['b', 'holds'])
})

t.test('who was in the cluster before it was announced again is not gone, and has yet to join', async (t) => {
  const kept = await context(t)
  const b = node('b', '10.0.0.2')
  await sql
    .raw(`
      insert into pools (name, cidr) values ('p', '10.0.0.0/24');
      insert into allocations (address, pool_id, node_name, sequence, allocated_at) values
        ('10.0.0.1', 1, 'again', 1, now() - interval '2 days'), ('10.0.0.3', 1, 'left', 2, now() - interval '9 days'),
        ('10.0.0.4', 1, 'back', 3, now() - interval '9 days');
      update allocations set state = 'registered', registered_at = now() - interval '1 day' where node_name = 'back';
      insert into sightings (name, last_seen, absent_since, absences)
      select name, now() - interval '5 days', now() - interval '5 days', 5 from unnest('{again,left,back}'::text[]) name`)
    .execute(kept.db)
  await noteSightings(kept, [b], [])
  const gone = await goneNodes(kept.db)
  t.same(
    gone.map(({ nodeName, absentFor }) => [nodeName, Math.round(absentFor / 86_400_000)]),
    [
      ['back', 1],
      ['left', 5],
    ],
  )
  t.same(
    (await neverJoined(kept.db, 86_400)).map(({ nodeName }) => nodeName),
    ['again'],
  )
})
