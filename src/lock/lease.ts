import type { RedisLink } from './redis-link.js'

/** What the lock has done so far; plain counters. */
export interface LockStats {
  /** Leases taken in Redis. */
  acquired: number
  /** Attempts to take a lease that had to wait for another process. */
  waited: number
  /** Leases that turned out to be gone: expired while the process was paused, or flushed. */
  lost: number
  /** Runs that went on without at least one of their leases. */
  skipped: number
}

/** Times in milliseconds, the same for all leases of a process. */
export interface LeaseTimes {
  /** Life of a lease in Redis without renewal: how long a dead holder blocks its key. */
  leaseMs: number
  /** How long a holder that has work may go on although others wait, so that a handover pays. */
  turnMs: number
  /** The longest wait of a run. */
  waitMs: number
  /** Who waits looks again this often, in case the message that it is his turn was lost. */
  recheckMs: number
}

/** After a wait in vain (a holder that is dead, paused or very slow) runs do not wait again for this long. */
const vainMs = 1_000

/**
 * The lease of one key, as seen by this process.
 *
 *   not held ──take──▶ held ──(another process wants it, and our turn is over)──▶ no new runs
 *       ▲                │                                                           │
 *       └──lost, idle────┴────────────────────────────last run ended─────────────────┘
 *
 * Whether it is held is decided by the monotonic clock alone, counted from before the command was sent that Redis
 * answered, so a process that was paused finds its lease over as soon as it looks.
 */
export class Lease {
  readonly #key: string
  readonly #link: RedisLink
  readonly #times: LeaseTimes
  readonly #stats: LockStats
  /** By `performance.now()`; 0 when not held. */
  #goodUntil = 0
  #turnEnds = 0
  /** Another process waits for it. */
  #wanted = false
  /** Runs in progress that rely on it. */
  #runs = 0
  #usedSinceRenewal = false
  /** Changes whenever the lease is taken or given back, so that a late renewal says nothing about a later lease. */
  #term = 0
  #taking: Promise<boolean> | undefined
  #vainUntil = 0
  #woken = false
  #wake: (() => void) | undefined

  constructor(key: string, link: RedisLink, times: LeaseTimes, stats: LockStats) {
    this.#key = key
    this.#link = link
    this.#times = times
    this.#stats = stats
  }

  /** Starts a run if the lease is held and has time left. This is the path of nearly all runs: no await, no Redis. */
  tryEnter(): boolean {
    const now = performance.now()
    if (now >= this.#goodUntil - this.#times.leaseMs / 5 || this.#mustYield(now)) return false
    this.#enter()
    return true
  }

  /** Starts a run once the lease could be taken; false when it could not be before `deadline` (`performance.now()`). */
  async enter(deadline: number): Promise<boolean> {
    if (performance.now() < this.#vainUntil) return false
    this.#taking ??= this.#take(deadline).finally(() => {
      this.#taking = undefined
    })
    if (!(await this.#taking)) return false
    this.#enter()
    return true
  }

  /** Ends a run that `tryEnter` or `enter` started. */
  exit(): void {
    this.#runs--
    if (this.#runs > 0 || !this.#wanted) return
    if (this.#mustYield(performance.now())) void this.giveBack()
    // Within its turn a holder may go on, if it has work: that is, if its next run starts at once.
    else setImmediate(() => this.#giveBackIfUnused())
  }

  /** Another process wants the lease. */
  onWant(): void {
    this.#wanted = true
    if (this.#goodUntil > 0) this.#giveBackIfUnused()
    // A lease that we do not know of: the answer to our command never came. The wish behind it need not wait.
    else if (this.#taking === undefined) void this.giveBack()
  }

  /** It is this process's turn. */
  onFree(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Called a few times in the life of a lease: makes it last longer, or gives it back when nothing has used it since. */
  async renew(): Promise<void> {
    if (this.#goodUntil === 0) return
    if (this.#runs === 0 && !this.#usedSinceRenewal) {
      this.giveBack()
      return
    }
    this.#usedSinceRenewal = false
    const term = this.#term
    const sentAt = performance.now()
    const reply = await this.#link.renew(this.#key, this.#times.leaseMs)
    if (reply === undefined || term !== this.#term) return
    const [stillOurs, wanted] = reply
    if (stillOurs === 1) {
      this.#goodUntil = sentAt + this.#times.leaseMs
      if (wanted === 1) this.onWant()
    } else {
      this.#lose()
    }
  }

  /** Gives back the lease, whatever is going on under it. Resolves when Redis has answered, or cannot. */
  async giveBack(): Promise<void> {
    this.#goodUntil = 0
    this.#wanted = false
    this.#term++
    this.onFree()
    await this.#link.leave(this.#key)
  }

  /** Whether nothing would be forgotten with this object. */
  get forgettable(): boolean {
    const busy = this.#goodUntil > 0 || this.#runs > 0 || this.#taking !== undefined
    return !busy && performance.now() >= this.#vainUntil
  }

  #enter(): void {
    this.#runs++
    this.#usedSinceRenewal = true
  }

  #mustYield(now: number): boolean {
    return this.#wanted && now >= this.#turnEnds
  }

  #giveBackIfUnused(): void {
    if (this.#wanted && this.#runs === 0 && this.#goodUntil > 0) void this.giveBack()
  }

  #lose(): void {
    this.#goodUntil = 0
    this.#wanted = false
    this.#term++
    this.#stats.lost++
    this.onFree()
  }

  async #take(deadline: number): Promise<boolean> {
    const { leaseMs, turnMs, waitMs, recheckMs } = this.#times
    let waiting = false
    await this.#link.begun(deadline - performance.now())
    while (true) {
      this.#woken = false
      const sentAt = performance.now()
      const patience = deadline - sentAt
      if (patience <= 0) return this.#giveUp(leaseMs)
      if (this.#goodUntil > 0 && this.#mustYield(sentAt)) {
        if (this.#runs > 0) {
          await this.#wait(patience)
          continue
        }
        // Given back and asked for again in one go: Redis sees them in this order, so we stand behind those who wait.
        void this.giveBack()
        this.#woken = false
      }
      const reply = await this.#link.take(this.#key, leaseMs, patience, waitMs)
      if (reply === undefined) return false
      const [outcome, detail] = reply
      if (outcome !== 'ours' && this.#goodUntil > 0) this.#lose()
      if (outcome !== 'wait') {
        if (outcome === 'taken') this.#stats.acquired++
        this.#term++
        this.#goodUntil = sentAt + leaseMs
        this.#turnEnds = performance.now() + turnMs
        this.#wanted ||= detail === 1
        return true
      }
      if (!waiting) this.#stats.waited++
      waiting = true
      const left = deadline - performance.now()
      if (left <= 0) return this.#giveUp(detail)
      await this.#wait(Math.min(left, detail, recheckMs))
    }
  }

  /** Leaves the line. `leaseLeft` is what the present holder's lease has left. */
  #giveUp(leaseLeft: number): false {
    this.#vainUntil = performance.now() + Math.min(leaseLeft, vainMs)
    if (this.#goodUntil === 0) void this.#link.leave(this.#key)
    return false
  }

  /** Until something has changed, at most `ms`. */
  async #wait(ms: number): Promise<void> {
    if (this.#woken) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}
