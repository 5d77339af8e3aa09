import type { FastifyBaseLogger } from 'fastify'
import type { Connection } from '../cluster/connection.js'
import { removeUselessJobs } from '../domain/readdress-jobs.js'
import { advanceReaddress } from '../domain/readdress-steps.js'
import type { Executor } from '../store/database.js'
import type { Task } from './cluster-round.js'

/** After a removal that failed there is a pause of so long (ms). */
const PAUSE = 10_000

/** Goes on with the runs of re-addressing. */
export function readdressing(db: Executor, cluster: Connection, log: FastifyBaseLogger): Task {
  return {
    name: 're-addressing',
    run: async (signal) => {
      for (const { runId, nodeName, state, message } of await advanceReaddress(db, cluster, signal)) {
        log.info({ run: runId, nodeName, state, message }, 'the re-addressing of a node has ended')
      }
      return []
    },
  }
}

/** Removes the ConfigUpdateJobs that were kept, when they are of no use any more. */
export function removingJobs(db: Executor, cluster: Connection): Task {
  let trouble: { error: unknown; until: number } | undefined
  return {
    name: 'removing ConfigUpdateJobs that are of no use any more',
    run: async (signal) => {
      if (trouble && performance.now() < trouble.until) throw trouble.error
      try {
        await removeUselessJobs(db, cluster, signal)
        trouble = undefined
      } catch (error) {
        trouble = { error, until: performance.now() + PAUSE }
        throw error
      }
      return []
    },
  }
}
