import { randomUUID } from 'node:crypto'
import type { Executor } from '../store/database.js'
import { giveLeaseBack, takeLease } from '../store/leases.js'

/** How long (s) a lease lasts that is not renewed, and how often (ms) it is. */
const LASTS = 15
const RENEWED_EVERY = 5_000

/**
 * Says whether this replica is the one that works for all. It may be wrong for a moment, when a replica hangs and wakes
 * up: what is done under the lease has to be right also when two do it.
 */
export class Lead {
  readonly #me = randomUUID()
  readonly #timer: NodeJS.Timeout
  #until = Number.NEGATIVE_INFINITY
  #asking = Promise.resolve()

  constructor(
    private readonly db: Executor,
    private readonly name: string,
    private readonly onTrouble: (error: Error) => void,
  ) {
    this.#timer = setInterval(() => this.#ask(), RENEWED_EVERY)
    this.#ask()
  }

  get isOurs(): boolean {
    return performance.now() < this.#until
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#asking
    if (this.isOurs) await giveLeaseBack(this.db, this.name, this.#me).catch(() => {})
    this.#until = Number.NEGATIVE_INFINITY
  }

  #ask(): void {
    this.#asking = this.#asking
      .then(async () => {
        // From before the question: the lease is never longer here than it is in the database.
        const at = performance.now()
        const isOurs = await takeLease(this.db, this.name, this.#me, LASTS)
        this.#until = isOurs ? at + LASTS * 1_000 : Number.NEGATIVE_INFINITY
      })
      .catch(this.onTrouble)
  }
}
