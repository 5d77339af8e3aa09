import { Problem } from '../core/errors.js'
import type { NewAllocation } from '../schemas/allocation.js'
import { type AllocationOutcome, type AllocationRequest, allocateBatch } from '../store/allocations.js'
import type { Executor } from '../store/database.js'
import { rehearse, transaction, Undo } from '../store/transaction.js'
import { allocate, type Granted, toGranted, toRequest } from './allocations.js'
import type { Context } from './context.js'

/** An item of a batch: a wish, or what is wrong with it. */
export type Item = NewAllocation | Problem

/**
 * Many allocations at once; the answers come in the order of the items. Each item succeeds or fails by itself.
 * @throws Problem store_unavailable: then the whole batch may be sent again
 */
export async function allocateEach(context: Context, items: readonly Item[]): Promise<(Granted | Problem)[]> {
  // A dry run of one after the other, each undone, would promise them all the same address.
  if (context.dryRun) return allocateInOne(context, items, false)
  return Promise.all(
    items.map((item) =>
      item instanceof Problem
        ? item
        : allocate(context, item).catch((error) => {
            if (error instanceof Problem && error.code !== 'store_unavailable') return error
            throw error
          }),
    ),
  )
}

/**
 * Many allocations at once, or none: if one fails, the others have `batch_aborted`, and nothing is kept.
 * @throws Problem store_unavailable
 */
export function allocateAll(context: Context, items: readonly Item[]): Promise<(Granted | Problem)[]> {
  return allocateInOne(context, items, true)
}

async function allocateInOne(
  context: Context,
  items: readonly Item[],
  atomic: boolean,
): Promise<(Granted | Problem)[]> {
  const requests = items.map((item) => requestOf(context, item))
  const answers = await transaction(context.db, context.dryRun, async (trx) => {
    const work = () => answerAll(trx, requests, items)
    // Tried first: a sequence number that is taken and undone would be lost.
    if (atomic) expectNoProblem(await rehearse(trx, work))
    const answers = await work()
    if (atomic) expectNoProblem(answers)
    return answers
  })
  if (!context.dryRun) context.engine.observer.batch(codesOf(requests, answers))
  return answers
}

async function answerAll(
  trx: Executor,
  requests: readonly (AllocationRequest | Problem)[],
  items: readonly Item[],
): Promise<(Granted | Problem)[]> {
  const good = requests.filter((request): request is AllocationRequest => !(request instanceof Problem))
  const outcomes = await inTurns(trx, good)
  return requests.map((request, index) =>
    request instanceof Problem ? request : answerTo(outcomes.shift()!, items[index] as NewAllocation),
  )
}

/** @throws Undo: what failed has its own problem, all else was not done because of it */
function expectNoProblem(answers: readonly (Granted | Problem)[]): void {
  if (!answers.some((answer) => answer instanceof Problem)) return
  throw new Undo(answers.map((answer) => (answer instanceof Problem ? answer : aborted())))
}

/** What became of those that reached the engine, as it is counted. */
function codesOf(
  requests: readonly (AllocationRequest | Problem)[],
  answers: readonly (Granted | Problem)[],
): string[] {
  return answers
    .filter((_answer, index) => !(requests[index] instanceof Problem))
    .map((answer) => (answer instanceof Problem ? answer.code : answer.created ? 'created' : 'existing'))
}

/** The engine takes each name once; a name that comes again is for its next call. */
async function inTurns(trx: Executor, requests: readonly AllocationRequest[]): Promise<AllocationOutcome[]> {
  const outcomes: AllocationOutcome[] = []
  let turn = new Map<string, AllocationRequest>()
  const run = async () => {
    if (turn.size > 0) outcomes.push(...(await allocateBatch(trx, [...turn.values()])))
    turn = new Map()
  }
  for (const request of requests) {
    if (turn.has(request.nodeName)) await run()
    turn.set(request.nodeName, request)
  }
  await run()
  return outcomes
}

function requestOf(context: Context, item: Item): AllocationRequest | Problem {
  if (item instanceof Problem) return item
  return orProblem(() => toRequest(context, item))
}

function answerTo(outcome: AllocationOutcome, wish: NewAllocation): Granted | Problem {
  return orProblem(() => toGranted(outcome, wish))
}

function orProblem<T>(work: () => T): T | Problem {
  try {
    return work()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

function aborted(): Problem {
  return new Problem(
    'batch_aborted',
    'Another item of the batch failed, so nothing was done. Mend that one, and send all again.',
  )
}
