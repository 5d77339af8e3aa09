import t from 'tap'
import { type Finding, findingKinds, keyOf, ofNode } from '../../src/core/finding.js'
import { keepFindings } from '../../src/domain/findings.js'
import { openDatabase } from '../../src/store/database.js'
import { startService } from '../support/service.js'
import { paths, problem } from './support.js'

const service = await startService(t)
const { call } = service
const db = openDatabase({ url: service.databaseUrl, connections: 1, onError: () => {} })
t.teardown(() => db.destroy())
/** What the looks at the cluster find: all that is open from then on. */
const look = (found: Finding[]) => keepFindings({ db, dryRun: false }, found)
const items = async (query = ''): Promise<(Finding & Record<string, string | null>)[]> => {
  const answer = await call('GET', `/v1/findings${query}`)
  t.equal(answer.status, 200, answer.text)
  return answer.body.items
}

const mismatch = ofNode(
  'edge-1',
  'address_mismatch',
  'Its InternalIP is 192.168.1.10, and its unique IP is 10.213.0.1.',
)
const gone = ofNode('edge-2', 'node_gone', 'It is not in the cluster any more.')
const clash = ofNode('edge-1', 'duplicate_internal_ip', 'Its InternalIP is also that of edge-3.')
const stale: Finding = {
  kind: 'stale_reference',
  // Of another kind, and with the name of a node.
  subject: { kind: 'Service', namespace: 'shop', name: 'edge-1' },
  message: 'It names what its node no longer has.',
}

t.test('where nothing was found, the list is empty', async (t) => {
  t.same((await call('GET', '/v1/findings')).body, { items: [], nextCursor: null })
})

t.test('what is open is listed, in the order in which it was found', async (t) => {
  await look([mismatch])
  await look([mismatch, stale])
  await look([clash, gone, mismatch, stale].toReversed())
  const all = await items()
  t.same(all.map(keyOf).slice(0, 2), [mismatch, stale].map(keyOf))
  t.same(all.map(keyOf).slice(2).sort(), [clash, gone].map(keyOf).sort())
  t.match(all[0], { ...mismatch, nodeName: 'edge-1', resolvedAt: null })
  t.match(all[1], { ...stale, nodeName: null, resolvedAt: null })
  for (const { id, since, lastSeen } of all) {
    t.match(id, /^\d+$/)
    t.match(since, /^\d{4}-\d\d-\d\dT.*Z$/)
    t.ok(lastSeen! >= since!)
  }
})

t.test('the list can be narrowed by kind, by node, and by whether they are over', async (t) => {
  const keys = async (query: string) => (await items(query)).map(keyOf).sort()
  t.same(await keys('?kind=node_gone'), [keyOf(gone)])
  t.same(await keys('?kind=never_joined'), [])
  t.same(await keys('?nodeName=edge-1'), [keyOf(mismatch), keyOf(clash)].sort(), 'no Service of that name')
  t.same(await keys('?nodeName=edge-1&kind=duplicate_internal_ip'), [keyOf(clash)])
  t.same(await keys('?resolved=true'), [])
  await look([gone, stale])
  t.same(await keys(''), [gone, stale].map(keyOf).sort())
  t.same(await keys('?resolved=false'), await keys(''))
  t.same(await keys('?resolved=true'), [mismatch, clash].map(keyOf).sort())
  t.same(await keys('?resolved=true&kind=address_mismatch'), [keyOf(mismatch)])
  for (const { since, lastSeen, resolvedAt } of await items('?resolved=true')) {
    t.ok(since! <= lastSeen! && lastSeen! <= resolvedAt!)
  }
})

t.test('a filter that is none is refused, and named', async (t) => {
  for (const query of [
    'kind=drift',
    'kind=',
    'nodeName=X',
    'nodeName=10.0.0.1',
    'resolved=yes',
    'resolved=1',
    'resolved=',
  ]) {
    const answer = await call('GET', `/v1/findings?${query}`)
    problem(t, answer, 400, 'validation_failed', query)
    t.same(paths(answer), [`?${query.split('=')[0]}`], query)
  }
})

t.test('metrics count what is open, by kind, and every kind is there', async (t) => {
  await look([mismatch, ofNode('edge-3', 'address_mismatch', 'x'), gone])
  const { text } = await call('GET', '/metrics')
  const counts: Record<string, number> = { address_mismatch: 2, node_gone: 1 }
  const lines = text.split('\n')
  for (const kind of findingKinds) {
    const line = `edge_ipam_findings{kind="${kind}"} ${counts[kind] ?? 0}`
    t.ok(lines.includes(line), line)
  }
})

t.test('findings are kept without a word in the audit trail: nobody did anything', async (t) => {
  const audit = async () => (await call('GET', '/v1/audit?limit=1000')).body.items.length
  const before = await audit()
  await look([clash])
  await look([])
  t.equal(await audit(), before)
})
