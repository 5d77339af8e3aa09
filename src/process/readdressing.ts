import type { FastifyBaseLogger } from 'fastify'
import type { Connection } from '../cluster/connection.js'
import { advanceReaddress } from '../domain/readdress-steps.js'
import type { Executor } from '../store/database.js'
import type { Task } from './cluster-round.js'

/** Goes on with the runs of re-addressing. */
export function readdressing(db: Executor, cluster: Connection, log: FastifyBaseLogger): Task {
  return {
    name: 're-addressing',
    run: async () => {
      for (const { runId, nodeName, state, message } of await advanceReaddress(db, cluster)) {
        log.info({ run: runId, nodeName, state, message }, 'the re-addressing of a node has ended')
      }
      return []
    },
  }
}
