import { sql } from 'kysely'
import { Problem } from '../core/errors.js'
import type { Executor } from './database.js'

/**
 * What PostgreSQL refused because somebody else was quicker: the same work, done again, sees what the other did and
 * comes to its own answer. So unique and exclusion violations are repeated too, never shown.
 */
const raceStates = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '23505', // unique_violation
  '23P01', // exclusion_violation
  '55P03', // lock_not_available
])

/** SQLSTATE classes and states, and what node reports, when the database is away or going. */
const awayStates = /^(08|28|3D|53|57P0|58)|^(57014|25006|25P03|55000|XX000)$/
const awayMessages =
  /timeout|terminated|closed the connection|not queryable|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|socket/i

function stateOf(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code
}

export function lostARace(error: unknown): boolean {
  return raceStates.has(stateOf(error) ?? '')
}

/** Whether the error says that the database is away (and not that the statement was wrong). */
export function isAway(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isAway)
  const state = stateOf(error)
  if (state !== undefined && /^[0-9A-Z]{5}$/.test(state) && /\d/.test(state)) return awayStates.test(state)
  return error instanceof Error && awayMessages.test(`${state ?? ''} ${error.message}`)
}

/** Tries often enough to outlast many equals that race for the same row, and not for ever. */
const TRIES = 10

/** The longest (ms) that a caller waits for the store: a little less than the five seconds that callers are promised. */
const PATIENCE = 4_500

/**
 * Runs the work, again where it lost a race, and turns a database that is absent or does not answer into the problem
 * that callers see. Work that is given up may still be done: that is why every request may be sent again.
 * @throws Problem store_unavailable; whatever else the work throws
 */
export async function withRetries<T>(work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(storeUnavailable(new Error('no answer in time'))), PATIENCE)
  })
  try {
    return await Promise.race([tryOften(work), tooLate])
  } finally {
    clearTimeout(timer)
  }
}

async function tryOften<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (lostARace(error) && attempt < TRIES) continue
      if (isAway(error) || lostARace(error)) throw storeUnavailable(error)
      throw error
    }
  }
}

export function storeUnavailable(cause: unknown): Problem {
  const problem = new Problem(
    'store_unavailable',
    'The database cannot be reached at the moment. Nothing is lost: send the same request again.',
    { retryAfter: 1 },
  )
  problem.cause = cause
  return problem
}

/** Thrown by the work of a transaction() to undo it; what it came to is the answer all the same. */
export class Undo<T> {
  constructor(readonly answer: T) {}
}

/** Does the work as a dry run within a transaction, and undoes it: what it would come to if it were done now. */
export async function rehearse<T>(trx: Executor, work: () => Promise<T>): Promise<T> {
  await sql`savepoint rehearsal`.execute(trx)
  await sql`set local edge_ipam.dry_run = 'on'`.execute(trx)
  const answer = await work()
  // The setting goes back with the rest.
  await sql`rollback to savepoint rehearsal`.execute(trx)
  return answer
}

/**
 * One transaction. With `dryRun` everything happens as it would, and is undone at the end; no sequence number is
 * used up (migrations/0002).
 */
export function transaction<T>(db: Executor, dryRun: boolean, work: (trx: Executor) => Promise<T>): Promise<T> {
  return withRetries(async () => {
    try {
      return await db.transaction().execute(async (trx) => {
        if (dryRun) await sql`set local edge_ipam.dry_run = 'on'`.execute(trx)
        const answer = await work(trx)
        if (dryRun) throw new Undo(answer)
        return answer
      })
    } catch (error) {
      if (error instanceof Undo) return error.answer
      throw error
    }
  })
}
