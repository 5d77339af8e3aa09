import type { Answered } from '../support/invariants.js'
import type { Load } from '../support/load.js'
import type { Life } from './life.js'
import { dryRun, type Expected, fits, type Verb } from './step.js'

/** What lives have done, for the end. */
export interface Diary {
  lives: Life[]
  /** What was asked under each request id. */
  asked: Map<string, Asked>
  /** Answers that contradict what was known. */
  strange: { life: Life; what: string }[]
  /** Every allocation that was answered. */
  answered: Map<string, Answered>
  /** How often each verb was used. */
  used: Map<string, number>
}

export interface Asked {
  life: Life
  /** It was made again, so an attempt of it may be done late. */
  repeated: boolean
  /** The audit rows that it must have left, by action; with `leavesEachTime`, perhaps several times. */
  leaves: readonly string[]
  leavesEachTime: boolean
}

/**
 * Lives, one request after the other, as long as there is time, or until an answer contradicts what it knows: from then
 * on it knows nothing.
 */
export async function live(
  life: Life,
  verbs: Record<string, Verb>,
  {
    load,
    connection,
    diary,
    goesOn,
  }: { load: Load; connection: number; diary: Diary; goesOn: (asked: number) => boolean },
): Promise<void> {
  diary.lives.push(life)
  const names = Object.keys(verbs)
  for (let number = 0; goesOn(number); ) {
    const name = life.random.pick(names)
    const real = verbs[name]!(life)
    if (!real) continue
    const isDry = real.ask.method !== 'GET' && life.random.oneIn(8)
    const { ask, verify, remember } = isDry ? dryRun(real) : real
    const id = `${life.name}-${number++}`
    const asked = { life, repeated: false, leaves: verify.leaves ?? [], leavesEachTime: verify.leavesEachTime ?? false }
    diary.asked.set(id, asked)
    diary.used.set(name, (diary.used.get(name) ?? 0) + 1)
    const reply = await load.persist(connection, { ...ask, headers: { ...ask.headers, 'x-request-id': id } })
    asked.repeated = reply.repeats > 0
    const allowed = [verify.answer, ...(asked.repeated ? (verify.again ?? []) : [])]
    if (!allowed.some((one) => fits(reply, one))) {
      const what = `${id}, ${isDry ? 'dry run: ' : ''}${name}, ${ask.method} ${ask.path} ${JSON.stringify(ask.body)}`
      const got = `${reply.status} ${JSON.stringify(reply.body)} after ${reply.repeats} repeats`
      diary.strange.push({ life, what: `${what}: ${got} ${show(allowed)}` })
      return
    }
    remember?.(reply, id)
    note(life, diary)
  }
}

function note({ nodes }: Life, { answered }: Diary): void {
  for (const { name, holds } of nodes) {
    if (holds) answered.set(`${name} ${holds.sequence}`, { name, address: holds.address, sequence: holds.sequence })
  }
}

function show(allowed: readonly Expected[]): string {
  const text = (_key: string, value: unknown) => (typeof value === 'function' ? '(by a rule)' : value)
  return `instead of ${allowed.map((one) => JSON.stringify(one, text)).join(' or ')}`
}
