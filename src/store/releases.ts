import type { AllocationState } from '../core/lifecycle.js'
import type { AllocationRow } from './allocations.js'
import { type Executor, prepared } from './database.js'

/** Whose or which address is meant. */
export type ReleaseBy = { nodeName: string } | { address: string }

/** What a release is about. */
export interface ReleasableRow extends AllocationRow {
  /** The quarantine has ended: the address is free, the row is a leftover. */
  over: boolean
}

/** An address as it was found, to be released if it still is so. */
export interface Release {
  address: string
  sequence: number
  state: AllocationState
  actor: string
  requestId: string
}

const releasable = prepared<ReleasableRow & { ord: number }>('releasable', 'select * from releasable($1::jsonb)')
const release = prepared<AllocationRow & { ord: number }>('release', 'select * from release_together($1::jsonb)')

/** What each of these is about, in their order; undefined: nothing. */
export async function findReleasable(
  db: Executor,
  wanted: readonly ReleaseBy[],
): Promise<(ReleasableRow | undefined)[]> {
  const wire = wanted.map((by, index) =>
    'nodeName' in by ? { ord: index, node_name: by.nodeName } : { ord: index, address: by.address },
  )
  return inOrder(wanted.length, await releasable(db, JSON.stringify(wire)))
}

/**
 * Sends them into quarantine, each with its audit row, in one transaction and one round trip.
 * @returns each as it is now, in their order; undefined for one that is no longer as it was found
 */
export async function releaseTogether(
  db: Executor,
  releases: readonly Release[],
): Promise<(AllocationRow | undefined)[]> {
  const wire = releases.map(({ requestId, ...row }, index) => ({ ord: index, ...row, request_id: requestId }))
  return inOrder(releases.length, await release(db, JSON.stringify(wire)))
}

function inOrder<Row extends { ord: number }>(count: number, rows: readonly Row[]): (Row | undefined)[] {
  const ordered = new Array<Row | undefined>(count).fill(undefined)
  for (const row of rows) ordered[row.ord] = row
  return ordered
}
