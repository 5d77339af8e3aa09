import { Problem } from '../core/errors.js'
import { auditIdBefore, nodesChangedAfter } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import type { Report, Seen } from './observe.js'

/** How often (ms) the audit trail is asked what has changed: so long a node may be taken for what it was. */
const LOOK_EVERY = 1_000
/** Longer (ms) nothing is remembered, should a change have been missed: somebody may write to the database by hand. */
const LONGEST = 60 * 60_000
/** The same for a refusal: a full pool has room again when time has passed, and a pool's change names no node. */
const LONGEST_REFUSED = 30_000
/**
 * Each lasts for a time of its own, between this part of the longest and all of it: what is learned together, as after a
 * start, would else be looked up anew together, for ever after.
 */
const LEAST_PART = 0.5
/**
 * A row's id is taken before its transaction ends, so rows come behind others with greater ids. After so many looks all are
 * there: no transaction of ours takes so long.
 */
const SETTLED = 10
/** Rows that are read at once. */
const PAGE = 10_000
const MOST = 100_000

interface Known {
  signature: string
  found: Seen | Problem
  /** On the clock of performance.now(). */
  until: number
}

/**
 * Remembers what was seen of nodes that report the same again and again: thousands of them every few seconds cost the
 * database a look-up of each within an hour as long as nothing changes. What changes is told by the audit trail, which
 * every replica's changes are in, by one small question a second.
 */
export class KnownNodes {
  readonly #known = new Map<string, Known>()
  readonly #timer: NodeJS.Timeout
  #begun: Promise<void> | undefined
  /** All rows up to this id were read; of those after it, these. */
  #settled = 0
  readonly #read = new Set<number>()
  /** The greatest id of each of the last looks. */
  readonly #greatest: number[] = []
  /** Changes whenever something was forgotten: what was looked up before that is not remembered after it. */
  #round = 0
  #looking: Promise<void> | undefined
  #failing = false

  /** @param onError is told once of each time that the database cannot be asked */
  constructor(
    private readonly db: Executor,
    onError: (error: Error) => void,
  ) {
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look()
        .then(() => {
          this.#failing = false
        })
        .catch((error: Error) => {
          if (!this.#failing) onError(error)
          this.#failing = true
        })
        .finally(() => {
          this.#looking = undefined
        })
    }, LOOK_EVERY).unref()
  }

  /** What was seen of a node that reports the same; undefined: it is not known. @throws Problem, as it was refused */
  recall(report: Report): Seen | undefined {
    const known = this.#known.get(report.name)
    if (known?.signature !== signatureOf(report) || performance.now() > known.until) return undefined
    return given(known.found)
  }

  /** What `look` finds, which is remembered. Rejects as that does. */
  async learn(report: Report, look: () => Promise<Seen>): Promise<Seen> {
    // Before anything is looked up: what changes from now on is told.
    this.#begun ??= this.#begin()
    await this.#begun
    const round = this.#round
    const found = await look().catch(refusal)
    const lasts = found instanceof Problem ? LONGEST_REFUSED : LONGEST
    if (round === this.#round) {
      const part = LEAST_PART + Math.random() * (1 - LEAST_PART)
      this.#remember(report.name, { signature: signatureOf(report), found, until: performance.now() + part * lasts })
    }
    return given(found)
  }

  /** As the newest; where there are too many the oldest goes. */
  #remember(name: string, known: Known): void {
    this.#known.delete(name)
    if (this.#known.size >= MOST) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(name, known)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #begin(): Promise<void> {
    try {
      this.#settled = await auditIdBefore(this.db, SETTLED * LOOK_EVERY)
    } catch (error) {
      this.#begun = undefined
      throw error
    }
  }

  async #look(): Promise<void> {
    if (this.#begun === undefined) return
    await this.#begun
    let after = this.#settled
    for (let full = true; full; ) {
      const rows = await nodesChangedAfter(this.db, after, PAGE)
      this.#forget(rows)
      after = rows.at(-1)?.id ?? after
      full = rows.length === PAGE
    }
    if (this.#greatest.push(after) <= SETTLED) return
    this.#settled = this.#greatest.shift()!
    for (const id of this.#read) if (id <= this.#settled) this.#read.delete(id)
  }

  #forget(rows: readonly { id: number; node_name: string | null }[]): void {
    const fresh = rows.filter(({ id }) => !this.#read.has(id))
    if (fresh.length > 0) this.#round++
    for (const { id, node_name: name } of fresh) {
      this.#read.add(id)
      if (name !== null) this.#known.delete(name)
    }
  }
}

function signatureOf({ nodeUid, addresses }: Report): string {
  return `${nodeUid} ${addresses.join(' ')}`
}

function given(found: Seen | Problem): Seen {
  if (found instanceof Problem) throw found
  return found
}

/** @throws what is no refusal, but trouble that may be over the next moment */
function refusal(error: unknown): Problem {
  if (error instanceof Problem && error.code !== 'store_unavailable') return error
  throw error
}
