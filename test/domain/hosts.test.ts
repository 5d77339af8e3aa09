import type { V1ConfigMap } from '@kubernetes/client-node'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Connection } from '../../src/cluster/connection.js'
import { HostsPublisher } from '../../src/domain/hosts.js'
import { openTestDatabase } from '../support/database.js'

// When the ConfigMap is looked at and written. With a real cluster: test/kubernetes/hosts.test.ts.

/** What the client throws; 422 is about the size. */
const answered = (code: number) => Object.assign(new Error(`answered ${code}`), { code, body: tooLong })
const tooLong = { kind: 'Status', reason: 'Invalid', details: { causes: [{ reason: 'FieldValueTooLong' }] } }

/** A cluster of one ConfigMap, if any. */
function clusterOf(first?: V1ConfigMap) {
  const cluster = {
    there: first,
    /** What the next writes are answered with. */
    refusal: undefined as number | undefined,
    writes: 0,
  }
  const write = async ({ body }: { body: V1ConfigMap }) => {
    if (cluster.refusal !== undefined) throw answered(cluster.refusal)
    cluster.writes++
    cluster.there = body
  }
  const api = {
    readNamespacedConfigMap: async () => {
      if (cluster.there === undefined) throw answered(404)
      return structuredClone(cluster.there)
    },
    createNamespacedConfigMap: write,
    replaceNamespacedConfigMap: write,
  }
  return { cluster, connection: { kubernetes: {}, api: () => api } as unknown as Connection }
}

async function start(t: Test, first?: V1ConfigMap) {
  const db = await openTestDatabase(t)
  await sql`insert into pools (name, cidr) values ('p', '10.0.0.0/24')`.execute(db)
  const { cluster, connection } = clusterOf(first)
  const options = { configMap: { namespace: 'edge-ipam', name: 'hosts' }, suffix: 'edge.internal' }
  const publisher = new HostsPublisher(db, connection, options)
  const began = performance.now()
  return {
    cluster,
    publish: () => publisher.publish(),
    text: () => cluster.there?.data?.['edge-ipam.hosts'],
    /** Lets time pass, from the beginning on. */
    after: (ms: number) => t.intercept(performance, 'now', { value: () => began + ms }),
    allocate: (number: number) =>
      sql
        .raw(`
          insert into allocations (address, pool_id, node_name, sequence, allocated_at)
          values ('10.0.0.${number}', 1, 'edge-${number}', ${number}, now());
          insert into audit (at, action, actor, node_name) values (now(), 'allocation.created', 'x', 'edge-${number}')`)
        .execute(db),
  }
}

t.test('names that change again and again are written every five seconds', async (t) => {
  const { cluster, publish, text, after, allocate } = await start(t)
  await allocate(1)
  await publish()
  t.equal(text(), '10.0.0.1 edge-1.edge.internal\n')
  await allocate(2)
  after(4_000)
  await publish()
  t.equal(cluster.writes, 1)
  after(6_000)
  await publish()
  t.equal(text(), '10.0.0.1 edge-1.edge.internal\n10.0.0.2 edge-2.edge.internal\n')
  t.equal(cluster.writes, 2)
})

t.test('a ConfigMap that somebody deletes is made again within a minute, though no name changes', async (t) => {
  const { cluster, publish, text, after, allocate } = await start(t)
  await allocate(1)
  await publish()
  cluster.there = undefined
  after(61_000)
  await publish()
  t.equal(text(), '10.0.0.1 edge-1.edge.internal\n')
})

t.test('what is not its own in the ConfigMap stays, and the version that was read goes with it', async (t) => {
  const metadata = { name: 'hosts', resourceVersion: '7', labels: { mine: 'kept' }, annotations: { mine: 'kept' } }
  const { cluster, publish, text, allocate } = await start(t, { metadata, data: { other: 'kept' } })
  await allocate(1)
  await publish()
  t.equal(text(), '10.0.0.1 edge-1.edge.internal\n')
  t.match(cluster.there, {
    metadata: { ...metadata, labels: { mine: 'kept', 'app.kubernetes.io/managed-by': 'edge-ipam' } },
    data: { other: 'kept' },
  })
})

t.test('a write that fails is tried again with the next round', async (t) => {
  const { cluster, publish, text, allocate } = await start(t)
  await allocate(1)
  for (const code of [409, 500]) {
    cluster.refusal = code
    await t.rejects(publish(), { code })
  }
  cluster.refusal = undefined
  t.same(await publish(), [])
  t.equal(text(), '10.0.0.1 edge-1.edge.internal\n')
})

t.test('what is too large with all that others keep in the ConfigMap is a finding until it fits', async (t) => {
  const { cluster, publish, after, allocate } = await start(t, { metadata: {}, data: { other: 'large' } })
  await allocate(1)
  for (const code of [413, 422]) {
    cluster.refusal = code
    after(code * 1_000)
    t.match(await publish(), [{ kind: 'hosts_too_large', subject: { namespace: 'edge-ipam', name: 'hosts' } }])
    t.match(await publish(), [{ kind: 'hosts_too_large' }], 'also where nothing has changed since')
  }
  cluster.refusal = undefined
  await allocate(2)
  t.same(await publish(), [])
})
