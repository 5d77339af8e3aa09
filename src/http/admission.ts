import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { BODY_LIMIT } from './body.js'
import { type Gate, refuseQuickly } from './quick-refusal.js'
import { isNeverRefused, refuse } from './refusal.js'

/** So many requests under way are ordinary: they are served, however long each takes. */
const LEAST = 1_000
/** So many may be under way in a burst, as nodes come back after a power cut, and never more. */
const MOST = 2_000
/** A crowd is a burst for so long (ms). */
const BURST = 1_000
/** The longest (ms) that a request is to wait when more come than can be served. */
const WAIT = 250
/** The answers are counted this often (ms) while it is crowded. */
const LOOK = 25
/** The bodies under way may have so many bytes together; one that does not say how long it is counts as `UNSAID`. */
const MOST_BYTES = 64 * 1024 * 1024
const UNSAID = 64 * 1024

/** Where the beginning and the end of an overload are told: a line each. A pino logger fits. */
export interface AdmissionLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

type Serve = (request: IncomingMessage, response: ServerResponse) => void

/**
 * Lets in what can be served in time when more requests come than can be. The others are refused before anything is done
 * for them: who is refused late has cost as much as who is served.
 *
 * By Little's law the requests under way, divided by the answers per second, are how long the next one waits. So only as
 * many are let in as were answered in the last `WAIT`, and it does not matter what the bound is: this process, the
 * database, a lock. A burst out of calm is let in up to `MOST`: it is over as soon as it is served.
 */
export class Admission {
  /** For the metrics. */
  readonly stats = { underWay: 0, refused: 0 }
  #bytes = 0
  #answered = 0
  #limit = MOST
  /** What `#answered` was, and when: of the last `WAIT`, with one that is older. Empty when it was calm since. */
  readonly #looks: { at: number; answered: number }[] = []
  #crowdedSince = 0
  #telling: NodeJS.Timeout | undefined

  constructor(private readonly log: AdmissionLog) {}

  /**
   * Has it stand before whatever the server does with a request.
   * @param onRefused told of each that is refused
   */
  guard(server: Server, onRefused: (url: string) => void = () => {}): void {
    const [serve] = server.listeners('request') as [Serve]
    server.removeListener('request', serve)
    const gate: Gate = {
      // A server that ends takes what still comes: one request of each connection.
      hasRoom: () => !server.listening || this.#hasRoom(),
      countRefusal: (url) => {
        onRefused(url)
        this.#countRefusal()
      },
    }
    const admission = this
    // One function for all responses, and no closure for each: every request comes by here.
    const onClose = function (this: ServerResponse & { admitted?: number }) {
      admission.#leave(this.admitted!, this.writableFinished)
    }
    server.on('request', (request: IncomingMessage, response: ServerResponse & { admitted?: number }) => {
      const bytes = bytesOf(request)
      if ((this.#bytes + bytes <= MOST_BYTES && gate.hasRoom()) || isNeverRefused(request.url!)) {
        this.stats.underWay++
        this.#bytes += bytes
        response.admitted = bytes
        response.on('close', onClose)
        serve(request, response)
      } else {
        refuse(request, response)
        gate.countRefusal(request.url!)
        // Not sooner: what is left of its body would come before the next request.
        request.on('end', () => refuseQuickly(request.socket, gate))
      }
    })
  }

  /** Whether one more can be served in time. */
  #hasRoom(): boolean {
    // All there is to do as long as it is calm.
    if (this.stats.underWay < LEAST) return true
    this.#look(performance.now())
    return this.stats.underWay < this.#limit
  }

  #countRefusal(): void {
    this.stats.refused++
    // Not a line for each: that would cost more than the refusal.
    if (this.#telling === undefined) this.#tell()
  }

  #leave(bytes: number, answered: boolean): void {
    this.#bytes -= bytes
    // Who hung up was not served, and says nothing of how fast we are.
    if (answered) this.#answered++
    if (--this.stats.underWay === LEAST / 2) this.#looks.length = 0
  }

  #look(at: number): void {
    const looks = this.#looks
    if (looks.length > 0 && at - looks.at(-1)!.at < LOOK) return
    if (looks.length === 0) this.#crowdedSince = at
    looks.push({ at, answered: this.#answered })
    while (looks.length > 1 && at - looks[1]!.at >= WAIT) looks.shift()
    const [{ at: from, answered }] = looks as [{ at: number; answered: number }]
    const inTime = ((this.#answered - answered) * WAIT) / Math.max(at - from, WAIT)
    this.#limit = at - this.#crowdedSince < BURST ? MOST : Math.min(MOST, Math.max(LEAST, inTime))
  }

  #tell(): void {
    const before = this.stats.refused - 1
    let seen = this.stats.refused
    this.log.warn({ underWay: this.stats.underWay }, 'more requests come than can be served in time; some are refused')
    this.#telling = setInterval(() => {
      if (this.stats.refused > seen) {
        seen = this.stats.refused
        return
      }
      this.log.info({ refused: seen - before }, 'every request is served again')
      clearInterval(this.#telling)
      this.#telling = undefined
    }, 1_000).unref()
  }
}

function bytesOf({ headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return UNSAID
  // What says that it has more than the largest is refused for that, and never read.
  return Math.min(Number(headers['content-length'] ?? 0), BODY_LIMIT)
}
