import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { leaseKey, ownerChannel, queueKey, type ScriptCommands, scripts } from './scripts.js'

/** Where an outage and its end are told: one line each. A pino logger fits. */
export interface LockLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** How long after an outage began, or an attempt to end it failed, the next attempt is made. */
const retryMs = 1_000
/** Replies that no run waits for (the handshake, renewals) may take this long. */
const backgroundMs = 1_000
const closed = 'the connection was closed'

/**
 * The connection to Redis as the leases need it: every command either has its answer in time or is `undefined`,
 * never an exception. Whatever goes wrong (no connection, no answer, READONLY, OOM, a wrong password) has the same
 * consequence: the link is down, which is logged once, commands are not even sent, and the way back is a new
 * connection, once a second, in the background. It is up again after a write has succeeded on it, because a full
 * Redis or a replica answers everything else.
 *
 * One connection carries commands and messages (RESP3), so that a reply and the message that follows from it
 * arrive in order.
 */
export class RedisLink {
  /** Unique for this process (and this link); the value of the leases it holds. */
  readonly owner = randomUUID()
  readonly #redis: Redis & ScriptCommands
  readonly #log: LockLog
  readonly #where: string
  readonly #secret: string
  readonly #onUp: () => void
  #state: 'connecting' | 'up' | 'down' = 'connecting'
  #firstAttemptEnded = () => {}
  readonly #firstAttempt = new Promise<void>((resolve) => {
    this.#firstAttemptEnded = resolve
  })
  #reported = false
  #retired = false
  #closed = false
  /** Counts connections, so that what is left of an old one cannot speak for the new one. */
  #session = 0

  constructor(options: {
    url: string
    log: LockLog
    onUp: () => void
    onMessage: (kind: string, key: string) => void
  }) {
    const { url, onMessage } = options
    this.#log = options.log
    this.#onUp = options.onUp
    this.#redis = new Redis(url, {
      connectionName: 'edge-ipam',
      connectTimeout: 2_000,
      commandTimeout: backgroundMs,
      disconnectTimeout: 100,
      retryStrategy: () => retryMs,
      // A command belongs to the connection it was sent on: none is kept for later or sent twice.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // Done by #open, which also knows when it has failed.
      autoResubscribe: false,
      enableReadyCheck: false,
      scripts,
    }) as Redis & ScriptCommands
    const { host, port, path, password } = this.#redis.options
    this.#where = path ?? `${host}:${port}`
    this.#secret = password ?? ''
    this.#redis.on('ready', () => void this.#open())
    this.#redis.on('error', (error: unknown) => this.#fail(error))
    this.#redis.on('close', () => {
      this.#session++
      this.#fail(new Error(closed))
    })
    this.#redis.on('message', (_channel: string, message: string) => {
      const colon = message.indexOf(':')
      onMessage(message.slice(0, colon), message.slice(colon + 1))
    })
  }

  /** Known to be of no use at the moment: there is no point in asking. */
  get down(): boolean {
    return this.#state === 'down'
  }

  /** Resolves when the first attempt to connect has ended, well or badly, at the latest after `ms`. */
  async begun(ms: number): Promise<void> {
    if (this.#state === 'connecting') await within(ms, this.#firstAttempt).catch(() => {})
  }

  /** Takes the lease of a key or stands in line for it, see scripts.ts. No answer within `limitMs` is an outage. */
  async take(key: string, leaseMs: number, patienceMs: number, limitMs: number) {
    if (this.#retired) return undefined
    return this.#ask(limitMs, () =>
      this.#redis.leaseTake(leaseKey(key), queueKey(key), this.owner, key, leaseMs, patienceMs),
    )
  }

  /** Gives back the lease of a key, or the place in its line. */
  leave(key: string) {
    return this.#ask(backgroundMs, () => this.#redis.leaseLeave(leaseKey(key), queueKey(key), this.owner, key))
  }

  /** Makes a lease last longer, see scripts.ts. */
  renew(key: string, leaseMs: number) {
    return this.#ask(backgroundMs, () => this.#redis.leaseRenew(leaseKey(key), queueKey(key), this.owner, leaseMs))
  }

  /** From now on nothing is taken. What was taken can still be given back. */
  retire(): void {
    this.#retired = true
  }

  /** Ends the connection; the link stays down from now on. */
  close(): void {
    this.#closed = true
    this.#state = 'down'
    this.#firstAttemptEnded()
    this.#redis.disconnect()
  }

  async #ask<T>(limitMs: number, command: () => Promise<T>): Promise<T | undefined> {
    if (this.#state !== 'up') return undefined
    const session = this.#session
    try {
      return await within(limitMs, command())
    } catch (error) {
      if (session === this.#session) this.#fail(error)
      return undefined
    }
  }

  /** After every connect: everything that the lock needs is tried once before the lock relies on it. */
  async #open(): Promise<void> {
    const session = ++this.#session
    try {
      await this.#redis.subscribe(ownerChannel(this.owner))
      if (this.#redis.mode === 'subscriber') throw new Error('it does not speak RESP3, Redis 6 or newer is needed')
      await this.#redis.set(`edge-ipam:probe:${this.owner}`, '', 'PX', 1)
    } catch (error) {
      if (session === this.#session) this.#fail(error)
      return
    }
    if (session !== this.#session || this.#closed) return
    this.#state = 'up'
    if (this.#reported) this.#log.info({ redis: this.#where }, 'Redis is usable again, the allocation lock is back')
    this.#reported = false
    this.#firstAttemptEnded()
    this.#onUp()
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    this.#state = 'down'
    this.#firstAttemptEnded()
    if (!this.#reported) {
      this.#reported = true
      const reason = this.#reason(error)
      this.#log.warn(
        { redis: this.#where },
        `Redis is not usable (${reason}): allocation goes on without its lock, the database decides`,
      )
    }
    // An answer that was not awaited, or one that said no: a fresh connection is the way back, also to a server that
    // took over the name of this one. Without a connection ioredis is already on that way.
    if (this.#redis.status !== 'ready') return
    this.#session++
    this.#redis.disconnect(true)
  }

  /** A reason without secrets: of an error's many fields only the text, since others hold the password's command. */
  #reason(error: unknown): string {
    const { message, code, name } = error as Partial<NodeJS.ErrnoException>
    // The two ways in which ioredis says so of a command.
    if (name === 'MaxRetriesPerRequestError' || message?.startsWith("Stream isn't writeable")) return closed
    // A host name with several addresses fails with an AggregateError, which has a code and no text.
    const text = message || code || 'unknown error'
    return this.#secret === '' ? text : text.replaceAll(this.#secret, '***')
  }
}

/**
 * The promise's value, or an error after `ms`. A process that was itself too busy to read the answer gets one more look
 * at its sockets (`setImmediate` comes after them) before it blames Redis.
 */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => setImmediate(reject, new Error(`no answer within ${Math.round(ms)} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
