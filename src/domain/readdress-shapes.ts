import { canonicalAddress } from '../core/ip.js'
import { jobNameOf } from '../core/readdress.js'
import type { Readdress, ReaddressNode } from '../schemas/readdress.js'
import type { RunNodeRow, RunRow } from '../store/readdress.js'

/** What keeps all that is not over where it is. */
export const NO_CLUSTER = 'The service is connected to no cluster, so that nothing goes on: set EDGE_IPAM_KUBERNETES.'

/** A run as the wire has it. */
export function toReaddress(row: RunRow): Readdress {
  const { waiting = 0, running = 0, done = 0, failed = 0, skipped = 0, stopped = 0 } = row.counts ?? {}
  return {
    id: row.id,
    state: row.state,
    atOnce: row.at_once,
    stopAfterFailures: row.stop_after_failures,
    timeoutSeconds: row.timeout_seconds,
    settleSeconds: row.settle_seconds,
    counts: { waiting, running, done, failed, skipped, stopped },
    createdBy: row.actor,
    requestId: row.request_id,
    stoppedBy: row.stopped_by,
    createdAt: row.created_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  }
}

/** A node of a run as the wire has it. @param goesOn the service is connected to the cluster */
export function toReaddressNode(runId: string, row: RunNodeRow, goesOn: boolean): ReaddressNode {
  const isOver = row.state !== 'waiting' && row.state !== 'running'
  return {
    nodeName: row.node_name,
    state: row.state,
    message: isOver || goesOn ? row.message : NO_CLUSTER,
    uniqueIp: canonicalAddress(row.unique_ip),
    reportedIp: row.reported_ip && canonicalAddress(row.reported_ip),
    job: row.state === 'running' || row.job_kept ? jobNameOf(runId, row.position) : null,
    startedAt: row.started_at?.toISOString() ?? null,
    endedAt: row.ended_at?.toISOString() ?? null,
  }
}
