import { removeJob } from '../cluster/config-update-jobs.js'
import type { Asker, Connection } from '../cluster/connection.js'
import type { Problem } from '../core/errors.js'
import { jobNameOf } from '../core/readdress.js'
import type { Executor } from '../store/database.js'
import * as store from '../store/readdress-steps.js'
import { withRetries } from '../store/transaction.js'
import { askCluster, isClusterTrouble, isRefusal } from './ask-cluster.js'

/** How many jobs are removed at a time. */
const ABREAST = 20

/**
 * Removes the jobs that were kept and are of no use any more. One that would set an address that its node has lost does harm:
 * KubeEdge may carry it out as long as it is there, when somebody else has that address.
 * @param signal when it is aborted, what is left is left
 * @throws Problem store_unavailable; cluster_unavailable, when not all could be removed
 */
export async function removeUselessJobs(db: Executor, cluster: Connection, signal: AbortSignal): Promise<void> {
  const jobs = await withRetries(() => store.uselessJobs(db))
  if (jobs.length === 0) return
  const asker = cluster.until(signal)
  let trouble: Problem | undefined
  for (let at = 0; at < jobs.length && !signal.aborted; at += ABREAST) {
    const some = jobs.slice(at, at + ABREAST)
    const troubles = await Promise.all(some.map((job) => removeKept(db, asker, job)))
    trouble ??= troubles.find((one) => one !== undefined)
    // Another job may be removed where one is refused; but not while nobody answers.
    if (troubles.some((one) => one !== undefined && !isRefusal(one))) break
  }
  if (trouble && !signal.aborted) throw trouble
}

/** Removes a job that was kept. @returns what keeps it from being removed */
export async function removeKept(db: Executor, cluster: Asker, job: store.Key): Promise<Problem | undefined> {
  const trouble = await troubleWithRemoving(cluster, job)
  if (!trouble) await withRetries(() => store.forgetJob(db, job))
  return trouble
}

/** Removes a job, if it is there. @returns what keeps it from being removed */
export async function troubleWithRemoving(
  cluster: Asker,
  { run_id, position }: store.Key,
): Promise<Problem | undefined> {
  try {
    await askCluster(removeJob(cluster, jobNameOf(run_id, position)))
    return undefined
  } catch (error) {
    if (isClusterTrouble(error)) return error
    throw error
  }
}
