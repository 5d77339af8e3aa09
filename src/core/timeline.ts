// Who had an address at an instant, told from the audit trail alone: it outlives nodes and pools.

import type { AllocationState } from './lifecycle.js'

/** What the trail keeps of one address: the rows that change who has it, or what is known of the one who has it. */
export interface TimelineRow {
  at: Date
  action: string
  nodeName: string | null
  pool: string | null
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
}

export interface Holding {
  state: AllocationState | 'free'
  /** The pool that it was handed out of; null: it was free. */
  pool: string | null
  /** In quarantine the last holder. */
  nodeName: string | null
  displayIp: string | null
  sequence: number | null
  /** When the address came into this state; null: it always was. */
  since: Date | null
}

const free = (since: Date | null): Holding => ({
  state: 'free',
  pool: null,
  nodeName: null,
  displayIp: null,
  sequence: null,
  since,
})

/**
 * The holding at an instant.
 * @param rows oldest first, none later than the instant; beginning at the latest `allocation.created`, if there is one
 */
export function holdingAt(rows: readonly TimelineRow[], at: Date): Holding {
  let now = free(null)
  let quarantinedUntil: Date | undefined
  for (const row of rows) {
    switch (row.action) {
      case 'allocation.created':
        now = { ...free(row.at), state: 'allocated', pool: row.pool, nodeName: row.nodeName }
        quarantinedUntil = undefined
        break
      case 'allocation.registered':
        now = { ...now, state: 'registered', since: row.at }
        break
      case 'allocation.released':
        now = { ...now, state: 'quarantined', since: row.at }
        quarantinedUntil = new Date(row.after?.quarantinedUntil as string)
        break
      case 'allocation.freed':
        // The row was written when somebody noticed; free it was when its time had come.
        now = free(quarantinedUntil ?? row.at)
        quarantinedUntil = undefined
        break
    }
    if (row.after && 'displayIp' in row.after) now.displayIp = row.after.displayIp as string | null
    if (typeof row.after?.sequence === 'number') now.sequence = row.after.sequence
  }
  return quarantinedUntil && quarantinedUntil <= at ? free(quarantinedUntil) : now
}
