import { type DemoNode, listPools, type PoolView, type Run } from './run.js'
import { count, integer } from './screen.js'

/** What the end of a run says in numbers. */
export interface Sums {
  nodes: number
  distinctDisplayIps: number
  distinctUniqueIps: number
  auditRows: Record<string, number>
  pools: PoolView[]
}

/** A few nodes of each kind: neighbours in the table have the same display IP. */
export function showTable({ screen, nodes }: Run): DemoNode[] {
  screen.step('The same display IP stands next to different unique IPs.')
  const rows: DemoNode[] = []
  for (const displayIp of new Set(nodes.filter(({ note }) => note === '').map((node) => node.displayIp))) {
    const same = nodes.filter((node) => node.displayIp === displayIp && node.note === '')
    rows.push(...same.slice(0, Math.min(4, 8 - rows.length)))
    if (rows.length >= 8) break
  }
  rows.push(...nodes.filter(({ note }) => note !== ''))
  screen.table(
    [{ title: 'site' }, { title: 'node' }, { title: 'display IP' }, { title: 'unique IP' }, { title: '' }],
    rows.map((node) => [node.site, node.name, node.displayIp, node.uniqueIp, node.note]),
  )
  return rows
}

export function showTimings({ screen, timings, retries, options }: Run): void {
  screen.step(`How long it took, with ${count(options.connections, 'connection')} at a time.`)
  screen.table(
    [
      { title: 'what' },
      { title: 'count', right: true },
      { title: 'seconds', right: true },
      { title: 'per second', right: true },
      { title: 'p50 ms', right: true },
      { title: 'p99 ms', right: true },
    ],
    timings.map(({ what, count, seconds, perSecond, p50Ms, p99Ms }) => [
      what,
      integer(count),
      seconds.toFixed(2),
      integer(perSecond),
      p50Ms.toFixed(1),
      p99Ms.toFixed(1),
    ]),
  )
  screen.say('The demo itself uses the same processors; npm run bench measures properly.')
  if (retries > 0) screen.say(`${count(retries, 'request')} took more than one attempt.`)
}

/** Asks the service what it holds now, and compares that with what it answered before. */
export async function checkSums(run: Run): Promise<Sums> {
  const { screen, client, nodes, prefix } = run
  screen.step('The sums add up.')
  const stored = await client.list<{ nodeName: string; uniqueIp: string | null; displayIp: string | null }>(
    `/v1/nodes?search=${prefix}site-`,
  )
  const byName = new Map(stored.map((node) => [node.nodeName, node]))
  const distinct = new Set(stored.map(({ uniqueIp }) => uniqueIp).filter((address) => address !== null)).size
  const displays = new Set(stored.map(({ displayIp }) => displayIp)).size
  const same = nodes.filter(
    ({ name, uniqueIp, displayIp }) =>
      byName.get(name)?.uniqueIp === uniqueIp && byName.get(name)?.displayIp === displayIp,
  ).length
  screen.check(
    stored.length === nodes.length && distinct === nodes.length && same === nodes.length,
    `${count(stored.length, 'node')}, ${count(displays, 'display IP')}, ${count(distinct, 'unique IP')}: as many unique ` +
      'IPs as nodes, each the one that the node was told.',
    `${count(stored.length, 'node')} of ${nodes.length}, ${count(distinct, 'unique IP')}, ${same} of them as told`,
  )
  const pools = await checkPools(run)
  return {
    nodes: stored.length,
    distinctDisplayIps: displays,
    distinctUniqueIps: distinct,
    auditRows: await checkAudit(run),
    pools,
  }
}

async function checkPools(run: Run): Promise<PoolView[]> {
  const { screen, nodes, options } = run
  const pools = await listPools(run)
  for (const { name, utilization } of pools) {
    const { capacity, allocated, quarantined, reserved, free } = utilization
    screen.check(
      allocated + quarantined + reserved + free === capacity,
      `Pool ${name}: ${integer(allocated)} allocated + ${integer(quarantined)} quarantined + ${integer(reserved)} reserved ` +
        `+ ${integer(free)} free = ${integer(capacity)}.`,
    )
  }
  // On a service that others use too, their nodes are in the pools' numbers.
  const alone = !options.server || run.ownPool !== undefined
  const ours = run.ownPool === undefined ? pools : pools.filter(({ name }) => name === run.ownPool)
  const allocated = ours.reduce((sum, { utilization }) => sum + utilization.allocated, 0n)
  screen.check(
    alone ? allocated === BigInt(nodes.length) : allocated >= BigInt(nodes.length),
    alone
      ? `${integer(allocated)} addresses are allocated: as many as there are nodes.`
      : `${integer(allocated)} addresses are allocated, those of the ${integer(nodes.length)} nodes of this run among them.`,
    `${integer(allocated)} addresses are allocated, and ${count(nodes.length, 'node')} have one`,
  )
  return pools
}

/** The trail is append-only and written in the change's own transaction: a missing row would be a lost one. */
async function checkAudit({ screen, client, nodes, tokens }: Run): Promise<Record<string, number>> {
  const joiner = encodeURIComponent(`join:${tokens.join.id}`)
  const cloudcore = encodeURIComponent(`cloudcore:${tokens.cloudcore.id}`)
  const rows = [
    ...(await client.list<{ action: string }>(`/v1/audit?actor=${joiner}`)),
    ...(await client.list<{ action: string }>(`/v1/audit?actor=${cloudcore}`)),
    ...(await client.list<{ action: string }>(`/v1/audit?nodeName=${nodes[1]!.name}&action=allocation.released`)),
  ]
  const counts: Record<string, number> = {}
  for (const { action } of rows) counts[action] = (counts[action] ?? 0) + 1
  // The node that came back was allocated, and registered, twice.
  const wanted: Record<string, number> = {
    'allocation.created': nodes.length + 1,
    'allocation.registered': nodes.length + 1,
    'allocation.released': 1,
    'node.updated': 1,
  }
  const actions = new Set([...Object.keys(wanted), ...Object.keys(counts)])
  const wrong = [...actions].filter((action) => counts[action] !== wanted[action])
  screen.check(
    wrong.length === 0,
    `The audit trail has a row for each change: ${integer(nodes.length + 1)} created, ${integer(nodes.length + 1)} ` +
      'registered, 1 released, 1 moved; and none for what was only asked again.',
    wrong.map((action) => `${counts[action] ?? 0} rows of ${action}, and not ${wanted[action] ?? 0}`).join('; '),
  )
  return counts
}
