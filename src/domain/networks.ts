import { Problem } from '../core/errors.js'
import { formatCidr, parseCidr } from '../core/ip.js'
import type { Networks } from '../schemas/network.js'
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
