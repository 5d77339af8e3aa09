import { Problem } from '../core/errors.js'
import { sourceOf } from '../core/source.js'

const WINDOW = 60_000
const MOST = 120
const MAX_SOURCES = 10_000

/** Slows down who guesses tokens, by source. It never meets a valid token: only failures come here. */
export class FailureLimit {
  readonly #sources = new Map<string, { since: number; failures: number }>()

  /** @returns what a source is told that has failed too often: rate_limited */
  count(ip: string): Problem | undefined {
    const source = sourceOf(ip)
    const now = performance.now()
    let entry = this.#sources.get(source)
    if (!entry || now - entry.since >= WINDOW) {
      // A Map keeps the order of its making: the one that has been known longest goes.
      this.#sources.delete(source)
      if (this.#sources.size >= MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value!)
      entry = { since: now, failures: 0 }
      this.#sources.set(source, entry)
    }
    entry.failures++
    if (entry.failures <= MOST) return undefined
    return new Problem('rate_limited', 'Too many requests without a valid token came from here.', {
      retryAfter: Math.ceil((entry.since + WINDOW - now) / 1000),
    })
  }
}
