import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Answered } from './invariants.js'

/** What came back from one request. */
export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
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
  /** Attempts that ended without an answer, or with 503. */
  repeated = 0
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
    const reply = await this.persist(connection, 'POST', '/v1/allocations', { nodeName, ...wish })
    if (reply.status === 200 || reply.status === 201) {
      const { uniqueIp, sequence } = reply.body
      this.answered.push({ name: nodeName, address: uniqueIp, sequence })
    }
    return reply
  }

  /** Gives back exactly the allocation of this sequence. */
  release(connection: number, nodeName: string, sequence: number): Promise<Reply> {
    const path = `/v1/nodes/${nodeName}/allocation`
    return this.persist(connection, 'DELETE', path, undefined, { 'if-match': `"${sequence}"` })
  }

  /** The request, as often as it takes. */
  async persist(
    connection: number,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    const end = Date.now() + PATIENCE
    for (let attempt = 0; ; attempt++) {
      const { targets } = this.options
      const target = targets[(connection + attempt) % targets.length]!
      const reply = await this.#once(connection, target, method, path, body, headers).catch((error: Error) => error)
      if (!(reply instanceof Error)) {
        if (reply.status >= 500) this.#judge(reply, `${method} ${path}`)
        if (reply.status !== 503) return reply
      }
      if (Date.now() > end) throw new Error(`no answer in time to ${method} ${path}: ${(reply as Error).message}`)
      this.repeated++
      // Much sooner than Retry-After says: a client that is impatient finds more.
      await delay(20 + Math.random() * 80)
    }
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy()
  }

  #judge({ status, headers, body }: Reply, what: string): void {
    if (status !== 503) this.improper.push(`${what}: ${status} ${JSON.stringify(body)}`)
    else if (!/^\d+$/.test(headers['retry-after'] ?? '')) this.improper.push(`${what}: 503 without Retry-After`)
  }

  #once(
    connection: number,
    target: string,
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
  ): Promise<Reply> {
    const { token, attemptMs = 15_000 } = this.options
    const payload = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        `${target}${path}`,
        {
          method,
          agent: this.#agents[connection]!,
          headers: {
            authorization: `Bearer ${token}`,
            ...(payload !== undefined && { 'content-type': 'application/json' }),
            ...headers,
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
            try {
              resolve({
                status: response.statusCode!,
                headers: response.headers,
                body: text === '' ? undefined : JSON.parse(text),
              })
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
