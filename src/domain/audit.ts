import { Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import { holdingAt } from '../core/timeline.js'
import type { AddressAt, AuditRow } from '../schemas/admin.js'
import { type AuditFilter, databaseTime, listAudit as list, poolOfAddress, timelineOf } from '../store/audit.js'
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
    before: withWireTimes(row.before),
    after: withWireTimes(row.after),
  }))
}

/** Some rows are written by the database, whose text of a time is in its own zone and by the microsecond. */
function withWireTimes(values: Record<string, unknown> | null): Record<string, unknown> | null {
  if (typeof values?.quarantinedUntil !== 'string') return values
  return { ...values, quarantinedUntil: new Date(values.quarantinedUntil).toISOString() }
}

/**
 * Who had an address at an instant, or has it now.
 * @throws Problem address_not_found: it lies in no pool, and has no history
 */
export function addressAt(context: Context, text: string, instant: Date | undefined): Promise<AddressAt> {
  const address = canonicalAddress(text)
  return withRetries(async () => {
    const present = await poolOfAddress(context.db, address)
    if (present === undefined) throw addressNotFound()
    const at = instant ?? (await databaseTime(context.db))
    const { since, pool, ...holding } = holdingAt(await timelineOf(context.db, address, at), at)
    return { address, pool: pool ?? present, at: at.toISOString(), ...holding, since: since?.toISOString() ?? null }
  })
}

/** What happened to an address, newest first. @throws Problem address_not_found */
export async function addressHistory(
  context: Context,
  text: string,
  page: { limit: number; before: number | null },
): Promise<AuditRow[]> {
  const address = canonicalAddress(text)
  if ((await withRetries(() => poolOfAddress(context.db, address))) === undefined) throw addressNotFound()
  return listAudit(context, { address }, page)
}

function addressNotFound(): Problem {
  return new Problem('address_not_found', 'The address lies in no pool, and nobody ever had it.')
}
