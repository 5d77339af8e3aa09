import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Connection } from '../../src/cluster/connection.js'
import type { Context } from '../../src/domain/context.js'
import { reclaimOnDemand } from '../../src/domain/gone-nodes.js'
import { goneNodes } from '../../src/store/gone.js'
import { openTestDatabase } from '../support/database.js'

// Whom an administrator's word is about. With a real cluster: test/kubernetes/reclaim.test.ts.

const by = { actor: 'admin:x', requestId: 'r' }
/** As the kube-apiserver says it. */
const notFound = { kind: 'Status', reason: 'NotFound', details: { kind: 'nodes' } }
const rules = { grace: 3_600_000, neverJoinedAfter: 3_600 }

/**
 * Nodes of two pools that are gone for a day (`young`: for a minute), and a cluster that has none of them but those in
 * `there`, and says nothing of those in `silent`.
 */
async function start(t: Test, { there = [], silent = [] }: { there?: string[]; silent?: string[] } = {}) {
  const db = await openTestDatabase(t)
  await sql
    .raw(`
      insert into pools (name, cidr) values ('p', '10.0.0.0/24'), ('q', '10.0.1.0/24');
      insert into allocations (address, pool_id, node_name, sequence, allocated_at) values
        ('10.0.0.1', 1, 'p1', 1, now() - interval '9 days'), ('10.0.0.2', 1, 'p2', 2, now() - interval '9 days'),
        ('10.0.0.3', 1, 'young', 3, now() - interval '9 days'), ('10.0.1.1', 2, 'q1', 4, now() - interval '9 days'),
        ('10.0.1.2', 2, 'q-never', 5, now() - interval '9 days'), ('10.0.0.4', 1, 'p-never', 6, now() - interval '9 days'),
        ('10.0.0.5', 1, 'p-waits', 7, now());
      update allocations set state = 'registered', registered_at = allocated_at where node_name in ('p1', 'p2', 'young', 'q1');
      insert into sightings (name, absent_since, absences)
      select name, now() - case name when 'young' then interval '1 minute' else interval '1 day' end, 5
      from unnest('{p1,p2,young,q1}'::text[]) name`)
    .execute(db)
  const asked: string[] = []
  const cluster = {
    kubernetes: {},
    api: () => ({
      readNode: async ({ name }: { name: string }) => {
        asked.push(name)
        if (silent.includes(name)) throw new Error('connection refused')
        if (!there.includes(name)) throw Object.assign(new Error('not found'), { code: 404, body: notFound })
        return {}
      },
    }),
  } as unknown as Connection
  const context = { db, cluster, dryRun: true } as unknown as Context
  const reclaim = async (wish: Parameters<typeof reclaimOnDemand>[1]) => {
    const { items } = await reclaimOnDemand(context, wish, rules, by)
    return items.map(({ nodeName, released, reason }) => `${nodeName}: ${reason ?? released}`).sort()
  }
  return { db, reclaim, asked }
}

t.test('those that are gone, of every pool or of one, all of them or those that are named', async (t) => {
  const { db, reclaim } = await start(t)
  const early =
    'young: It has been missing for 60 s, and counts as gone after 3600 s. DELETE /v1/nodes/young/allocation releases it before.'
  t.same(await reclaim({ kind: 'node_gone' }), ['p1: true', 'p2: true', 'q1: true', early])
  t.same(await reclaim({ kind: 'node_gone', pool: 'q' }), ['q1: true'])
  t.same(await reclaim({ kind: 'node_gone', nodeNames: ['p2', 'q1', 'p-never', 'nobody'] }), [
    'nobody: It holds no address.',
    'p-never: It is not known to be gone from the cluster.',
    'p2: true',
    'q1: true',
  ])
  t.same(await reclaim({ kind: 'node_gone', pool: 'p', nodeNames: ['p2', 'q1'] }), [
    'p2: true',
    'q1: It is not of pool p.',
  ])
  t.same(await reclaim({ kind: 'node_gone', nodeNames: ['young'] }), [early])
  t.equal((await goneNodes(db)).length, 4, 'a dry run releases nothing')
})

t.test('those that never joined, by the same choice', async (t) => {
  const { reclaim } = await start(t)
  t.same(await reclaim({ kind: 'never_joined' }), ['p-never: true', 'q-never: true'])
  t.same(await reclaim({ kind: 'never_joined', pool: 'q' }), ['q-never: true'])
  t.same(await reclaim({ kind: 'never_joined', nodeNames: ['p-never', 'p-waits', 'p1'] }), [
    'p-never: true',
    'p-waits: It has joined, or has not had its address for long enough.',
    'p1: It has joined, or has not had its address for long enough.',
  ])
})

t.test('who is in the cluster stays, and from when on that does not answer everybody does', async (t) => {
  const { reclaim, asked } = await start(t, { there: ['p1'], silent: ['p2'] })
  t.same(await reclaim({ kind: 'node_gone', nodeNames: ['p1', 'p2', 'q1'] }), [
    'p1: It is in the cluster.',
    'p2: The kube-apiserver does not answer.',
    'q1: The kube-apiserver does not answer.',
  ])
  t.same(asked, ['p1', 'p2'])
})
