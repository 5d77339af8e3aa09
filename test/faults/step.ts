import { isDeepStrictEqual } from 'node:util'
import type { Ask, Reply } from '../support/load.js'
import type { Life } from './life.js'

/** One request of a life, what has to come of it, and what the life knows from then on. */
export interface Step {
  ask: Ask
  verify: {
    answer: Expected
    /** What may come as well once an attempt had no answer: that one may have been done. */
    again?: readonly Expected[]
    /** The audit rows that it leaves, by action; as many, however often it was made. */
    leaves?: readonly string[]
    /** An attempt that was done without an answer leaves its own rows: it cannot be told from a second request. */
    leavesEachTime?: boolean
  }
  /** @param id the request id, which its audit rows have */
  remember?(reply: Reply, id: string): void
}

/** A verb of the API, used on what the life has; undefined where it has nothing for it. */
export type Verb = (life: Life) => Step | undefined

/** What has to be in an answer: see fits(). */
export interface Expected {
  status: unknown
  body?: unknown
  headers?: unknown
}

/** Each key of an object has to fit, and there may be more; a function says itself; all else has to be the same. */
export function fits(value: unknown, wanted: unknown): boolean {
  if (typeof wanted === 'function') return wanted(value) === true
  if (Array.isArray(wanted)) {
    return Array.isArray(value) && value.length === wanted.length && wanted.every((one, i) => fits(value[i], one))
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof value !== 'object' || value === null) return false
    return Object.entries(wanted).every(([key, one]) => fits((value as Record<string, unknown>)[key], one))
  }
  return Object.is(value, wanted)
}

export const exactly = (wanted: unknown) => (value: unknown) => isDeepStrictEqual(value, wanted)
export const above = (least: number) => (value: unknown) => typeof value === 'number' && value > least
export const including = (wanted: unknown) => (items: unknown) =>
  Array.isArray(items) && items.some((one) => fits(one, wanted))

export const refused = (status: number, code: string): Expected => ({ status, body: { code } })

/** The same as a dry run: the same answer, whether it was made before or not, and nothing is kept. */
export function dryRun({ ask, verify: { answer } }: Step): Step {
  const path = `${ask.path}${ask.path.includes('?') ? '&' : '?'}dryRun=true`
  return { ask: { ...ask, path }, verify: { answer } }
}
