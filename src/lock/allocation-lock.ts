import { Lease, type LeaseTimes, type LockStats } from './lease.js'
import { type LockLog, RedisLink } from './redis-link.js'

/**
 * Serialises the allocation of a pool among replicas, so that they do not meet at the pool's row lock.
 *
 * A lease per key, kept while there is work, renewed in the background and handed over when another process asks.
 * It saves work and guarantees nothing. There is no fencing token, because there is nothing to fence: no process
 * remembers anything under a lease that it would write later. Every transaction reads what it needs behind the row
 * lock, and the constraints decide, whether or not the lease was still there. So two holders at once (after a pause
 * longer than the lease, a flush, a failover) cost time and nothing else.
 */
export interface AllocationLock {
  /**
   * Runs `work` while this process holds the leases of all keys, or without, if they could not be had in time.
   * Resolves and rejects as `work` does; never rejects because of Redis. Runs of one process may share a lease.
   */
  run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>
  readonly stats: Readonly<LockStats>
  /** Hands back what is held, then disconnects; takes at most a quarter of a second. Runs may go on, without lock. */
  close(): Promise<void>
}

/** Settings of the lock; times in milliseconds. */
export interface LockOptions {
  /** `redis://` or `rediss://`; without it every run starts at once. */
  redisUrl?: string | undefined
  /** Gets one warning for each outage of Redis, and one line when it is over. */
  log: LockLog
  /** Life of a lease without renewal: how long a dead holder blocks its key. A third of it is the time of renewal. */
  leaseMs?: number | undefined
  /** The longest wait of a run for another process, and for an answer of Redis. */
  waitMs?: number | undefined
  /**
   * How long a holder with work goes on although others wait. Longer turns mean fewer handovers and later answers.
   * A handover takes about half a millisecond, as long as a small transaction: a turn of one run halves the throughput
   * of two contending processes, one of 10 ms costs them a tenth.
   */
  turnMs?: number | undefined
  /** Who waits looks again this often, should the message that it is his turn be lost. */
  recheckMs?: number | undefined
}

/** The lock of this process. Connects in the background; for the first connection a run waits as for another process. */
export function createLock(options: LockOptions): AllocationLock {
  return options.redisUrl === undefined ? withoutLock() : new RedisLock(options.redisUrl, options)
}

function withoutLock(): AllocationLock {
  return {
    run: (_keys, work) => work(),
    stats: { acquired: 0, waited: 0, lost: 0, skipped: 0 },
    close: async () => {},
  }
}

const closeMs = 250

class RedisLock implements AllocationLock {
  readonly stats: LockStats = { acquired: 0, waited: 0, lost: 0, skipped: 0 }
  readonly #times: LeaseTimes
  readonly #link: RedisLink
  readonly #leases = new Map<string, Lease>()
  readonly #renewal: NodeJS.Timeout
  #closed = false

  constructor(url: string, options: LockOptions) {
    const { log, leaseMs = 3_000, waitMs = 250, turnMs = 10, recheckMs = 50 } = options
    this.#times = { leaseMs, waitMs, turnMs, recheckMs }
    this.#link = new RedisLink({
      url,
      log,
      onUp: () => this.#renew(),
      onMessage: (kind, key) => {
        if (kind === 'want') this.#lease(key).onWant()
        else this.#leases.get(key)?.onFree()
      },
    })
    this.#renewal = setInterval(() => this.#renew(), leaseMs / 3).unref()
  }

  async run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    if (this.#closed) return work()
    const entered: Lease[] = []
    let complete = true
    const deadline = performance.now() + this.#times.waitMs
    // Everybody takes them in the same order, so nobody waits in a circle.
    const ordered = keys.length > 1 ? [...new Set(keys)].sort() : keys
    for (const key of ordered) {
      const lease = this.#lease(key)
      if (lease.tryEnter() || (!this.#link.down && (await lease.enter(deadline)))) entered.push(lease)
      else complete = false
    }
    if (!complete) this.stats.skipped++
    try {
      return await work()
    } finally {
      for (const lease of entered) lease.exit()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#renewal)
    this.#link.retire()
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      Promise.all([...this.#leases.values()].map((lease) => lease.giveBack())),
      new Promise((resolve) => {
        timer = setTimeout(resolve, closeMs)
      }),
    ])
    clearTimeout(timer)
    this.#link.close()
  }

  #lease(key: string): Lease {
    let lease = this.#leases.get(key)
    if (lease === undefined) {
      lease = new Lease(key, this.#link, this.#times, this.stats)
      this.#leases.set(key, lease)
    }
    return lease
  }

  #renew(): void {
    for (const [key, lease] of this.#leases) {
      if (lease.forgettable) this.#leases.delete(key)
      else void lease.renew()
    }
  }
}
