import { setMaxListeners } from 'node:events'
import http from 'node:http'
import https from 'node:https'

/** The run cannot go on; the message says why in a sentence. */
export class DemoError extends Error {}

export interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  text: string
  /** The JSON of the answer; undefined where there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: the demo reads answers of every shape, and checks what it reads
  body: any
  /** The request was sent more than once. */
  retried: boolean
  /** From the first attempt to the answer, in milliseconds. */
  ms: number
}

export interface CallOptions {
  token?: string
  body?: unknown
  ifMatch?: string
}

/** So long (ms) a service that does not answer, or is not ready, is asked again. */
const PATIENCE = 30_000

/** Speaks HTTP over kept connections, and asks again where asking again is safe: every call of this API is. */
export class Client {
  readonly #agent: http.Agent
  readonly #base: string
  readonly #transport: typeof http | typeof https

  /** `signal` ends waiting and running requests; its reason is what they throw. */
  constructor(
    url: URL,
    readonly token: string,
    readonly connections: number,
    private readonly signal: AbortSignal,
  ) {
    // Every request under way listens to it; Node would take so many for a leak.
    setMaxListeners(0, signal)
    this.#transport = url.protocol === 'https:' ? https : http
    this.#agent = new this.#transport.Agent({ keepAlive: true, maxSockets: connections })
    this.#base = url.href.replace(/\/$/, '')
  }

  close(): void {
    this.#agent.destroy()
  }

  /**
   * Sends a request; again when the connection breaks, or the service says that it is not ready (429, 503).
   * @throws DemoError when there is no answer in PATIENCE; the signal's reason
   */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const began = performance.now()
    for (let attempt = 0; ; attempt++) {
      this.signal.throwIfAborted()
      const answer = await this.#once(method, path, options).catch((error: Error) => error)
      this.signal.throwIfAborted()
      const ms = performance.now() - began
      if (!(answer instanceof Error) && answer.status !== 503 && answer.status !== 429) {
        return { ...answer, retried: attempt > 0, ms }
      }
      if (ms > PATIENCE) {
        const reason = answer instanceof Error ? reasonOf(answer) : describe(answer)
        throw new DemoError(`${method} ${this.#base}${path}: no answer in ${PATIENCE / 1000} s (${reason})`)
      }
      const asked = answer instanceof Error ? 0 : Number(answer.headers['retry-after'] ?? 0) * 1000 || 0
      // Many callers that wait equally long would all come back at the same moment.
      const wait = Math.max(Math.min(asked, 5_000), Math.min(100 * 2 ** attempt, 2_000)) * (0.5 + Math.random())
      await this.#pause(wait)
    }
  }

  /** As call(), and the status has to be one of these. @throws DemoError with what was answered instead */
  async expect(statuses: number[], method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const answer = await this.call(method, path, options)
    if (statuses.includes(answer.status)) return answer
    throw new DemoError(`${method} ${path} answered ${describe(answer)}, and ${statuses.join(' or ')} was expected`)
  }

  /** All items of a list, page by page; `seen` gets every answer. */
  async list<T>(path: string, options: CallOptions = {}, seen: (answer: Answer) => void = () => {}): Promise<T[]> {
    const items: T[] = []
    let cursor: string | null = null
    do {
      const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const answer = await this.expect(
        [200],
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}limit=1000${more}`,
        options,
      )
      seen(answer)
      items.push(...answer.body.items)
      cursor = answer.body.nextCursor
    } while (cursor !== null)
    return items
  }

  /** Does the work for each item, as many at a time as there are connections. The first failure ends it. */
  async forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const queue = items.values()
    const failed: unknown[] = []
    const worker = async () => {
      for (const item of queue) {
        if (failed.length > 0) return
        await work(item).catch((error) => failed.push(error))
      }
    }
    await Promise.all(Array.from({ length: Math.min(this.connections, items.length) }, worker))
    if (failed.length > 0) throw failed[0]
  }

  #once(method: string, path: string, options: CallOptions): Promise<Omit<Answer, 'retried' | 'ms'>> {
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body))
    return new Promise((resolve, reject) => {
      const request = this.#transport.request(`${this.#base}${path}`, {
        method,
        agent: this.#agent,
        signal: this.signal,
        timeout: PATIENCE,
        headers: {
          authorization: `Bearer ${options.token ?? this.token}`,
          ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
          ...(options.ifMatch !== undefined && { 'if-match': options.ifMatch }),
        },
      })
      request.on('timeout', () => request.destroy(new Error('the connection is silent')))
      request.on('error', reject)
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          try {
            const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== ''
            const parsed = isJson ? JSON.parse(withExactCounts(text)) : undefined
            resolve({ status: response.statusCode!, headers: response.headers, text, body: parsed })
          } catch (error) {
            reject(error)
          }
        })
      })
      request.end(body)
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer)
        reject(this.signal.reason)
      }
      const timer = setTimeout(() => {
        this.signal.removeEventListener('abort', stop)
        resolve()
      }, ms)
      this.signal.addEventListener('abort', stop, { once: true })
    })
  }
}

/** A pool's counts may be larger than a double is exact for: they come as text, for BigInt(). */
function withExactCounts(text: string): string {
  return text.replace(/"(capacity|allocated|quarantined|reserved|free)":(\d+)/g, '"$1":"$2"')
}

/** An answer in a few words: the status, and what a problem says of it. */
export function describe({ status, body }: Pick<Answer, 'status' | 'body'>): string {
  return body?.code === undefined ? `${status}` : `${status} ${body.code} (${body.detail})`
}

function reasonOf(error: Error): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error.message
}
