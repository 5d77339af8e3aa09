import type { V1Node } from '@kubernetes/client-node'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Connection } from '../../src/cluster/connection.js'
import type { Context } from '../../src/domain/context.js'
import { chosenNodes } from '../../src/domain/readdress-choice.js'
import { openTestDatabase } from '../support/database.js'

// Which nodes are meant. With a real cluster: test/kubernetes/readdress*.test.ts.

const nodeOf = (name: string, ...addresses: string[]): V1Node => ({
  metadata: { name },
  status: {
    conditions: [{ type: 'Ready', status: 'True' }],
    addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
  },
})

/** A database where every node holds 10.0.0.<its turn>, and a cluster of these nodes that answers two at a time. */
async function start(t: Test, nodes: readonly V1Node[]) {
  const db = await openTestDatabase(t)
  await sql`insert into pools (name, cidr) values ('p', '10.0.0.0/24')`.execute(db)
  const names = nodes.map(({ metadata }) => metadata!.name!)
  await sql`
    insert into nodes (name, labels) select name, jsonb_build_object('site', left(name, 1))
    from unnest(${names}::text[]) name`.execute(db)
  await sql`
    insert into allocations (address, pool_id, node_name, sequence, allocated_at)
    select '10.0.0.0'::inet + turn, 1, name, turn, now()
    from unnest(${names}::text[]) with ordinality x (name, turn)`.execute(db)
  const api = {
    listNode: async ({ _continue: from = '0' }: { _continue?: string }) => {
      const next = Number(from) + 2
      const metadata = next < nodes.length ? { _continue: String(next) } : {}
      return { items: nodes.slice(Number(from), next), metadata }
    },
    getAPIResources: async () => ({ resources: [{ name: 'configupdatejobs' }] }),
  }
  const connection = { kubernetes: {}, api: () => api } as unknown as Connection
  const context = {
    db,
    cluster: connection,
    caller: { role: 'admin', tokenId: 'x' },
    requestId: 'r',
    dryRun: false,
  } as unknown as Context
  const chosen = async (choice: Parameters<typeof chosenNodes>[2]) =>
    (await chosenNodes(context, connection, choice)).map(({ nodeName }) => nodeName)
  return { chosen }
}

t.test('of all nodes those are meant that report another address, however many the cluster has', async (t) => {
  const { chosen } = await start(t, [
    nodeOf('a1', '192.168.1.10'),
    nodeOf('a2', '10.0.0.2'),
    nodeOf('a3', 'fd00::3', '10.0.0.3'),
    nodeOf('a4'),
    nodeOf('b5', '192.168.1.10'),
  ])
  t.same(await chosen({}), ['a1', 'b5'])
  t.same(await chosen({ labels: { site: 'a' } }), ['a1'])
  t.same(await chosen({ labels: { site: 'b' } }), ['b5'])
  t.same(await chosen({ nodeNames: ['b5', 'a4', 'a2', 'b5'] }), ['a4', 'b5'], 'a named one may report none yet')
  await t.rejects(chosen({ nodeNames: ['a1', 'nobody'] }), { code: 'readdress_not_possible' })
})
