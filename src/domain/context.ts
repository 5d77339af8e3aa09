import type { Connection } from '../cluster/connection.js'
import { Problem } from '../core/errors.js'
import { globMatches } from '../core/names.js'
import type { AllocationLock } from '../lock/allocation-lock.js'
import type { AllocationOutcome, AllocationRequest, AllocationRow } from '../store/allocations.js'
import { allocateBatch, type Holding, holdings } from '../store/allocations.js'
import type { Executor } from '../store/database.js'
import { findReleasable, type ReleasableRow, type Release, type ReleaseBy, releaseTogether } from '../store/releases.js'
import type { TokenRole } from '../store/schema.js'
import { withRetries } from '../store/transaction.js'
import { Gatherer } from './gatherer.js'

/** Who asks: a token, as far as the use cases need to know it. */
export interface Caller {
  role: TokenRole
  tokenId: string
  /** The node names it is good for; null is all of them. */
  namePattern: string | null
  /** Its uses are counted. */
  limited: boolean
}

/** Says which version of a thing is meant; undefined: whichever there is. */
export type Meant = ((version: number | string) => boolean) | undefined

/** All that a use case may touch. No clock: time is the database's. */
export interface Context {
  db: Executor
  engine: Engine
  /** The way to the cluster, where there is one. */
  cluster?: Connection | undefined
  caller: Caller
  requestId: string
  dryRun: boolean
}

/** Is told what the use cases do, to count it. */
export interface Observer {
  /** One round trip served so many callers, with these outcomes. */
  batch(codes: readonly string[]): void
  /** A node reported another IP than its unique one. */
  drift(): void
}

/** The process-wide half of a context: what gathers the callers of one moment into one round trip. */
export interface Engine {
  allocations: Gatherer<AllocationRequest, AllocationOutcome>
  holdings: Gatherer<string, Holding | undefined>
  releasable: Gatherer<ReleaseBy, ReleasableRow | undefined>
  releases: Gatherer<Release, AllocationRow | undefined>
  observer: Observer
}

/** The largest batch: beyond it a batch gets longer in proportion, and its callers wait for nothing. */
const MAX_BATCH = 128
const MAX_QUEUE = 20_000

export function startEngine(db: Executor, lock: AllocationLock, observer: Observer): Engine {
  return {
    observer,
    allocations: new Gatherer({
      // The lock only saves the work of waiting in the database. Callers of all pools share a batch, so they share
      // the lock of the pool that is named, or of the choice among all pools. A pool that is first named while the
      // process waits goes without.
      inTurn: (waiting, work) => lock.run([...new Set(waiting.map(lockKey))], work),
      run: async (requests) => {
        const outcomes = await withRetries(() => allocateBatch(db, requests))
        observer.batch(outcomes.map((outcome) => outcome.code))
        return outcomes
      },
      keyOf: (request) => request.nodeName,
      maxBatch: MAX_BATCH,
      maxRunning: 1,
      maxQueue: MAX_QUEUE,
    }),
    holdings: new Gatherer({
      run: async (names) => {
        const found = await withRetries(() => holdings(db, [...new Set(names)]))
        const rows = new Map(found.map((row) => [row.node_name, row]))
        return names.map((name) => rows.get(name))
      },
      maxBatch: 1_000,
      maxRunning: 1,
      maxQueue: MAX_QUEUE,
    }),
    releasable: new Gatherer({
      run: (wanted) => withRetries(() => findReleasable(db, wanted)),
      maxBatch: MAX_BATCH,
      maxRunning: 1,
      maxQueue: MAX_QUEUE,
    }),
    releases: new Gatherer({
      run: (releases) => withRetries(() => releaseTogether(db, releases)),
      maxBatch: MAX_BATCH,
      maxRunning: 1,
      maxQueue: MAX_QUEUE,
    }),
  }
}

function lockKey(request: AllocationRequest): string {
  return request.pool ?? '*'
}

/** Who did it, as the audit trail keeps it. */
export function signatureOf(context: Context): { actor: string; requestId: string } {
  return { actor: actorOf(context.caller), requestId: context.requestId }
}

export function actorOf(caller: Caller): string {
  return `${caller.role}:${caller.tokenId}`
}

/** @throws Problem forbidden, if the caller's token is not good for this node name */
export function assertMayName(caller: Caller, nodeName: string): void {
  if (caller.namePattern !== null && !globMatches(caller.namePattern, nodeName)) {
    throw new Problem('forbidden', `The token is good for node names that match ${caller.namePattern} only.`)
  }
}
