import { Problem } from '../core/errors.js'

const WINDOW = 60_000
const MOST = 120
const MAX_SOURCES = 10_000

/** Slows down who guesses tokens, by source. It never meets a valid token: only failures come here. */
export class FailureLimit {
  readonly #sources = new Map<string, { since: number; failures: number }>()

  /** @throws Problem rate_limited */
  count(source: string): void {
    const now = performance.now()
    let entry = this.#sources.get(source)
    if (!entry || now - entry.since >= WINDOW) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear()
      entry = { since: now, failures: 0 }
      this.#sources.set(source, entry)
    }
    entry.failures++
    if (entry.failures > MOST) {
      throw new Problem('rate_limited', 'Too many requests without a valid token came from here.', {
        retryAfter: Math.ceil((entry.since + WINDOW - now) / 1000),
      })
    }
  }
}
