import { canonicalAddress } from '../core/ip.js'
import type { AuditRow } from '../schemas/admin.js'
import { type AuditFilter, listAudit as list } from '../store/audit.js'
import { withRetries } from '../store/transaction.js'
import type { Context } from './context.js'

/** A page of what happened, newest first. */
export async function listAudit(
  context: Context,
  filter: AuditFilter,
  page: { limit: number; before: number | null },
): Promise<AuditRow[]> {
  const rows = await withRetries(() => list(context.db, filter, page))
  return rows.map((row) => ({
    id: String(row.id),
    at: row.at.toISOString(),
    action: row.action,
    actor: row.actor,
    requestId: row.request_id,
    nodeName: row.node_name,
    address: row.address && canonicalAddress(row.address),
    pool: row.pool,
    before: row.before,
    after: row.after,
  }))
}
