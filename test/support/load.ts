import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Answered } from './invariants.js'

/** What is asked, whoever answers it. */
export interface Ask {
  method: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  /** Of another caller than the load's own. */
  token?: string
}

/** What came back from one request. */
export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  /** JSON where the answer is JSON, else the text, undefined where there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
  /** How many attempts had no answer, or 503, before this one. */
  repeats: number
}

export interface LoadOptions {
  /** The replicas; may change while the load runs, as replicas come back on other ports. */
  targets: readonly string[]
  token: string
  /** Each one a TCP connection of its own, kept open. */
  connections: number
  /** How long one attempt may take (ms) before it is made again, on another replica. */
  attemptMs?: number
}

/** How long a request is repeated (ms) before the test fails. */
const PATIENCE = 90_000

/**
 * A client as the join script is one: real connections, and every request again, the same, on the next replica, when
 * the answer is 503 or none. Keeps what it was told, for comparing with the database.
 */
export class Load {
  /** Every allocation that was answered with 200 or 201. */
  readonly answered: Answered[] = []
  /** Answers that nobody should ever get: a 5xx but 503, or a 503 that does not say when to come again. */
  readonly improper: string[] = []
  /** What is being repeated at the moment, and why. */
  readonly troubled = new Map<Ask, string>()
  /** How many requests had an answer, but 503. */
  replies = 0
  /** Attempts that ended without an answer, or with 503. */
  repeated = 0
  /** What came of the latest of them. */
  readonly repeats: string[] = []
  readonly #agents: Agent[]

  constructor(readonly options: LoadOptions) {
    this.#agents = Array.from(
      { length: options.connections },
      () => new Agent({ keepAlive: true, maxSockets: 1, scheduling: 'fifo' }),
    )
  }

  /** Works through the jobs on all connections at once; each job has its connection to itself. */
  async run<Job>(jobs: Iterable<Job>, work: (job: Job, connection: number) => Promise<unknown>): Promise<void> {
    const queue = jobs[Symbol.iterator]()
    await Promise.all(
      this.#agents.map(async (_agent, connection) => {
        for (let next = queue.next(); !next.done; next = queue.next()) await work(next.value, connection)
      }),
    )
  }

  /** Asks for an address until there is an answer, and keeps it. */
  async allocate(connection: number, nodeName: string, wish: object = {}): Promise<Reply> {
    const body = { nodeName, ...wish }
    const reply = await this.persist(connection, { method: 'POST', path: '/v1/allocations', body })
    if (reply.status === 200 || reply.status === 201) {
      const { uniqueIp, sequence } = reply.body
      this.answered.push({ name: nodeName, address: uniqueIp, sequence })
    }
    return reply
  }

  /** Gives back exactly the allocation of this sequence. */
  release(connection: number, nodeName: string, sequence: number): Promise<Reply> {
    const path = `/v1/nodes/${nodeName}/allocation`
    return this.persist(connection, { method: 'DELETE', path, headers: { 'if-match': `"${sequence}"` } })
  }

  /** The request, as often as it takes. */
  async persist(connection: number, ask: Ask): Promise<Reply> {
    const end = Date.now() + PATIENCE
    for (let repeats = 0; ; repeats++) {
      const { targets } = this.options
      const target = targets[(connection + repeats) % targets.length]!
      const reply = await this.#once(connection, target, ask).catch((error: Error) => error)
      if (!(reply instanceof Error)) {
        if (reply.status >= 500) this.#judge(reply, ask)
        if (reply.status !== 503) {
          this.troubled.delete(ask)
          this.replies++
          return { ...reply, repeats }
        }
      }
      const why = reply instanceof Error ? reply.message : `503 ${reply.body?.code}`
      this.troubled.set(ask, `${ask.method} ${ask.path} at ${target}: ${why}`)
      this.repeats.push(this.troubled.get(ask)!)
      if (this.repeats.length > 20) this.repeats.shift()
      if (Date.now() > end) throw new Error(`no answer in time to ${this.troubled.get(ask)}`)
      this.repeated++
      // Much sooner than Retry-After says: a client that is impatient finds more.
      await delay(20 + Math.random() * 80)
    }
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy()
  }

  #judge({ status, headers, body }: Omit<Reply, 'repeats'>, { method, path }: Ask): void {
    const what = `${method} ${path}: ${status}`
    if (status !== 503 || body?.code !== 'store_unavailable') this.improper.push(`${what} ${JSON.stringify(body)}`)
    else if (!/^[1-9]\d*$/.test(headers['retry-after'] ?? '')) {
      this.improper.push(`${what} with Retry-After ${headers['retry-after']}`)
    }
  }

  #once(connection: number, target: string, ask: Ask): Promise<Omit<Reply, 'repeats'>> {
    const { attemptMs = 15_000 } = this.options
    const payload = ask.body === undefined ? undefined : JSON.stringify(ask.body)
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        `${target}${ask.path}`,
        {
          method: ask.method,
          agent: this.#agents[connection]!,
          headers: {
            authorization: `Bearer ${ask.token ?? this.options.token}`,
            ...(payload !== undefined && { 'content-type': 'application/json' }),
            ...ask.headers,
          },
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            text += chunk
          })
          response.on('error', reject)
          response.on('end', () => {
            const { statusCode, headers } = response
            const isJson = /json/.test(headers['content-type'] ?? '')
            try {
              resolve({ status: statusCode!, headers, body: isJson ? JSON.parse(text) : text || undefined })
            } catch (error) {
              reject(error)
            }
          })
        },
      )
      request.setTimeout(attemptMs, () => request.destroy(new Error(`no answer within ${attemptMs} ms`)))
      request.on('error', reject)
      request.end(payload)
    })
  }
}
