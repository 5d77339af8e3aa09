import { latestAuditId, nodesChangedAfter } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import type { Report, Seen } from './observe.js'

/** How often (ms) the audit trail is asked what has changed: so long a node may be taken for what it was. */
const LOOK_EVERY = 1_000
/** Longer (ms) nothing is remembered, should a change have been missed. */
const LONGEST = 10 * 60_000
/** Rows of transactions that ended late come behind rows with greater ids: so many ids back they are looked for again. */
const OVERLAP = 500
const MOST = 100_000

/**
 * Remembers what was seen of nodes that report the same again and again: thousands of them every few seconds cost the
 * database nothing as long as nothing changes. What changes is told by the audit trail, which every replica's changes are
 * in, by one small question a second.
 */
export class KnownNodes {
  readonly #known = new Map<string, { signature: string; seen: Seen; at: number }>()
  readonly #timer: NodeJS.Timeout
  /** The greatest id of the trail that was looked at, and which of the last ones they were. */
  #since = 0
  #begun: Promise<void> | undefined
  readonly #read = new Set<number>()
  /** Changes whenever something was forgotten: what was looked up before that is not remembered after it. */
  #round = 0
  #looking = Promise.resolve()

  constructor(
    private readonly db: Executor,
    private readonly onError: (error: Error) => void,
  ) {
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look()).catch(this.onError)
    }, LOOK_EVERY).unref()
  }

  /** What was seen of a node that reports the same, or what `look` finds. Rejects as `look` does. */
  async see(report: Report, look: () => Promise<Seen>): Promise<Seen> {
    const signature = JSON.stringify([report.nodeUid, report.addresses])
    const known = this.#known.get(report.name)
    if (known?.signature === signature && performance.now() - known.at < LONGEST) return known.seen
    // Before anything is looked up: what changes from now on is told.
    this.#begun ??= this.#begin()
    await this.#begun
    const round = this.#round
    const seen = await look()
    if (this.#known.size >= MOST) this.#known.clear()
    if (round === this.#round) this.#known.set(report.name, { signature, seen, at: performance.now() })
    return seen
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #begin(): Promise<void> {
    try {
      this.#since = await latestAuditId(this.db)
    } catch (error) {
      this.#begun = undefined
      throw error
    }
  }

  async #look(): Promise<void> {
    if (this.#known.size === 0) return
    const rows = await nodesChangedAfter(this.db, this.#since - OVERLAP)
    const fresh = rows.filter(({ id }) => !this.#read.has(id))
    if (fresh.length === 0) return
    this.#round++
    for (const { id, node_name: name } of fresh) {
      this.#read.add(id)
      if (name !== null) this.#known.delete(name)
    }
    this.#since = Math.max(this.#since, ...fresh.map(({ id }) => id))
    for (const id of this.#read) if (id <= this.#since - OVERLAP) this.#read.delete(id)
  }
}
