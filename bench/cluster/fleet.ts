import { Agent } from 'node:https'
import type pg from 'pg'
import { joinedNode } from '../../test/kubernetes/cloudcore.js'
import { type Lab, startLab } from '../../test/kubernetes/lab.js'
import { migrated } from '../databases.js'
import { makeFleet } from '../fleet.js'
import { Absent, type Bench } from '../measurement.js'
import { withClient } from '../servers/postgres.js'

/** A cluster whose nodes all hold an address, and a database that knows them. */
export interface ClusterFleet {
  lab: Lab
  /** No service is connected to it. */
  databaseUrl: string
  names: readonly string[]
  /** How many findings there are, when all are found. */
  findings: number
}

export const POOL = '10.0.0.0/12'

const NODES = 5_000
/** So many of them report one address, that of their sites: each is found to clash, and to report another than its own. */
const CLASHING = 100
const AT_ONCE = 16

/** Made once in a run, since it takes a while. */
const made = new WeakMap<Bench, Promise<ClusterFleet>>()

/** @throws Absent where no kube-apiserver was built */
export function clusterFleet(bench: Bench): Promise<ClusterFleet> {
  const fleet = made.get(bench) ?? make(bench)
  made.set(bench, fleet)
  return fleet
}

async function make(bench: Bench): Promise<ClusterFleet> {
  if (!process.env.EDGE_IPAM_TEST_CONTROL_PLANE) {
    throw new Absent('it needs a kube-apiserver, which `npm run test:k8s` builds once, with Go')
  }
  const count = bench.quick ? NODES / 5 : NODES
  const lab = await startLab({ teardown: (end) => bench.scope.onEnd(end as () => Promise<void>) })
  const databaseUrl = await migrated(bench, bench.scope, POOL)
  const nodes = await withClient(databaseUrl, async (client) => {
    await makeFleet(client, { prefix: 'edge-', count, registered: true })
    const { rows } = await client.query<{ name: string; address: string }>(
      'select node_name as name, host(address) as address from allocations order by 1',
    )
    return rows
  })
  const began = performance.now()
  const uids: Record<string, string> = {}
  await inTurns(nodes.entries(), async ([index, { name, address }], agent) => {
    const node = joinedNode(name, index < CLASHING ? '192.168.1.10' : address)
    const answer = await lab.ask('POST', '/api/v1/nodes', node, { agent })
    if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`)
    uids[name] = answer.body.metadata.uid
  })
  // As the hook has noted them when they joined.
  await withClient(databaseUrl, (client) =>
    client.query('update nodes set node_uid = value from jsonb_each_text($1) where key = name', [JSON.stringify(uids)]),
  )
  bench.progress(`  ${count} nodes joined within ${((performance.now() - began) / 1000).toFixed(0)} s`)
  return { lab, databaseUrl, names: nodes.map(({ name }) => name), findings: 2 * CLASHING }
}

/** Does something with each, some at a time, on connections that are kept. */
export async function inTurns<Item>(
  items: Iterable<Item>,
  work: (item: Item, agent: Agent) => Promise<unknown>,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const queue = items[Symbol.iterator]()
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) await work(next.value, agent)
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  } finally {
    agent.destroy()
  }
}

/** Whether the cluster was looked at since this was last asked. */
export async function wasLookedAt(client: pg.Client): Promise<boolean> {
  return (await client.query('delete from cluster_look')).rowCount === 1
}

export async function countFindings(client: pg.Client): Promise<number> {
  return (await client.query('select count(*)::integer as count from findings where resolved_at is null')).rows[0].count
}

/** Has the database know nothing of what the cluster looked like. */
export async function forgetLooks(client: pg.Client): Promise<void> {
  await client.query('delete from findings')
  await client.query('delete from sightings')
}
