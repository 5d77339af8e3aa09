import type { Connection } from '../cluster/connection.js'
import type { Authenticator } from '../domain/authenticator.js'
import type { Engine } from '../domain/context.js'
import type { Executor } from '../store/database.js'
import type { FailureLimit } from './failure-limit.js'

/** What the routes are given: the process-wide parts, made once, for every listener. */
export interface Services {
  db: Executor
  engine: Engine
  authenticator: Authenticator
  failures: FailureLimit
  /** The way to the cluster, where there is one. */
  cluster?: Connection | undefined
}
