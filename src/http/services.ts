import type { Authenticator } from '../domain/authenticator.js'
import type { Engine } from '../domain/context.js'
import type { Executor } from '../store/database.js'

/** What the routes are given: the process-wide parts, made once by main.ts. */
export interface Services {
  db: Executor
  engine: Engine
  authenticator: Authenticator
}
