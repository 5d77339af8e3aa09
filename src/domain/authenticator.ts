import { timingSafeEqual } from 'node:crypto'
import type { Executor } from '../store/database.js'
import { findTokenByDigest, markTokenUsed } from '../store/tokens.js'
import { withRetries } from '../store/transaction.js'
import type { Caller } from './context.js'
import type { ServiceAccounts } from './service-accounts.js'
import { digestOf } from './tokens.js'

/** For so long (ms) an answer of the database counts: well within the second after which a revoked token is dead. */
const FRESH = 500
/** `lastUsedAt` is as exact as this (ms): a write for each request would be dearer than the request. */
const USE_NOTED_EVERY = 60_000
const MAX_REMEMBERED = 10_000

/** The request that a secret came with. One of Fastify fits. */
export interface Origin {
  readonly ip: string
  readonly raw: { readonly socket: object }
}

interface Remembered {
  /** Who it is; a promise as long as the database has not answered. */
  caller: Caller | null | Promise<Caller | null>
  /** When the question was sent, by a clock that nobody sets. */
  askedAt: number
}

/** Says who a secret is. Remembers answers for less than a second, by digest, so that a busy caller costs no query each. */
export class Authenticator {
  readonly #remembered = new Map<string, Remembered>()
  readonly #noted = new Map<string, number>()
  /** What came last by each connection, and its digest: to make it costs as much as to log the request. */
  readonly #last = new WeakMap<object, { secret: string; digest: string }>()

  constructor(
    private readonly db: Executor,
    private readonly onError: (error: unknown) => void,
    private readonly accounts?: ServiceAccounts,
  ) {}

  /**
   * At once where it is remembered.
   * @returns null: nobody, or expired. @throws Problem store_unavailable
   */
  identify(secret: string, origin: Origin): Caller | null | Promise<Caller | null> {
    const digest = this.#digestOf(secret, origin.raw.socket)
    const known = this.#remembered.get(digest)
    if (known && performance.now() - known.askedAt < FRESH) return known.caller
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
    const caller = this.#ask(secret, digest, origin.ip)
    const asked: Remembered = { caller, askedAt: performance.now() }
    this.#remembered.set(digest, asked)
    caller.then(
      (answer) => {
        asked.caller = answer
      },
      () => this.#remembered.delete(digest),
    )
    return caller
  }

  /** A token was revoked here: nobody waits for its half second. */
  forget(): void {
    this.#remembered.clear()
  }

  /** Who compares here has only what the same connection said before: nothing can be learned from how long it takes. */
  #digestOf(secret: string, connection: object): string {
    const last = this.#last.get(connection)
    if (last?.secret === secret) return last.digest
    const digest = digestOf(secret)
    this.#last.set(connection, { secret, digest })
    return digest
  }

  async #ask(secret: string, hex: string, ip: string): Promise<Caller | null> {
    const digest = Buffer.from(hex, 'hex')
    const row = await withRetries(() => findTokenByDigest(this.db, digest))
    if (!row) return this.accounts?.identify(secret, hex, ip) ?? null
    if (row.expired || !timingSafeEqual(row.digest, digest)) return null
    this.#noteUse(row.id)
    return { role: row.role, tokenId: row.id, namePattern: row.name_pattern, limited: row.max_uses !== null }
  }

  #noteUse(id: string): void {
    const now = performance.now()
    if (now - (this.#noted.get(id) ?? Number.NEGATIVE_INFINITY) < USE_NOTED_EVERY) return
    if (this.#noted.size >= MAX_REMEMBERED) this.#noted.clear()
    this.#noted.set(id, now)
    markTokenUsed(this.db, id).catch(this.onError)
  }
}
