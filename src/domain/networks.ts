import { aggregate } from '../core/aggregate.js'
import { Problem } from '../core/errors.js'
import { cidrOf, formatCidr, parseCidr } from '../core/ip.js'
import type { DiscoveredNetworks, Networks } from '../schemas/network.js'
import { writeAudit } from '../store/audit.js'
import * as store from '../store/networks.js'
import { poolThatOverlaps } from '../store/pools.js'
import { transaction, withRetries } from '../store/transaction.js'
import { type Context, signatureOf } from './context.js'

/** The cluster's networks as they are declared, by CIDR. */
export async function getNetworks(context: Context): Promise<Networks> {
  return { items: (await withRetries(() => store.listNetworks(context.db))).map(toNetwork) }
}

/**
 * Declares the cluster's networks, in the place of all that were declared before.
 * @throws Problem pool_overlap, naming the pool that is in the way; precondition_failed
 */
export function putNetworks(
  context: Context,
  wish: Networks,
  meant: ((networks: Networks) => boolean) | undefined,
): Promise<Networks> {
  const rows = wish.items.map(({ kind, cidr, description }) => ({
    kind,
    cidr: formatCidr(parseCidr(cidr)),
    description: description ?? null,
  }))
  return transaction(context.db, context.dryRun, async (trx) => {
    await store.lockNetworks(trx)
    const before = { items: (await store.listNetworks(trx)).map(toNetwork) }
    if (meant && !meant(before)) {
      throw new Problem('precondition_failed', 'The networks are not as If-Match says. Read them again.')
    }
    for (const { cidr } of rows) {
      const pool = await poolThatOverlaps(trx, cidr)
      if (pool) throw new Problem('pool_overlap', `${cidr} overlaps ${pool.cidr} of pool ${pool.name}.`)
    }
    await store.replaceNetworks(trx, rows)
    const after = { items: (await store.listNetworks(trx)).map(toNetwork) }
    await writeAudit(trx, {
      ...signatureOf(context),
      action: 'networks.replaced',
      before,
      after,
    })
    return after
  })
}

function toNetwork(row: store.NetworkRow): Networks['items'][number] {
  return { ...row, cidr: formatCidr(parseCidr(row.cidr)) }
}

/** The networks that the cluster tells of, as it did last; none where there is no cluster. */
export async function getDiscovered(context: Context): Promise<DiscoveredNetworks> {
  const rows = await withRetries(() => store.listDiscovered(context.db))
  return { items: rows.map((row) => ({ ...row, cidr: formatCidr(parseCidr(row.cidr)) })) } as DiscoveredNetworks
}

/**
 * Keeps what the cluster tells: the networks of its Pods as the Nodes have them, put together as far as they go, and those
 * that are written somewhere.
 */
export async function keepDiscovered(
  db: Context['db'],
  nodes: readonly { podCidrs: readonly string[] }[],
  written: readonly { kind: string; cidr: string; source: string }[],
): Promise<void> {
  const ofNodes = aggregate(nodes.flatMap(({ podCidrs }) => podCidrs.flatMap((cidr) => cidrOf(cidr) ?? [])))
  const rows = [
    ...ofNodes.map((cidr) => ({ kind: 'pod', cidr: formatCidr(cidr), source: 'Node' })),
    ...written.flatMap(({ cidr, ...rest }) => {
      const parsed = cidrOf(cidr)
      return parsed ? [{ ...rest, cidr: formatCidr(parsed) }] : []
    }),
  ]
  await withRetries(() => store.replaceDiscovered(db, rows))
}
