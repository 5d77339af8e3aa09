import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { undocumented } from './contract.js'
import { createDatabase } from './postgres.js'

const program = fileURLToPath(new URL('../../bin/edge-ipam.mjs', import.meta.url))

/** A service process: the built program, as people run it. */
export interface Service {
  readonly url: string
  /** What it printed when it was ready. */
  readonly ready: { page: string; curl: string; northbound?: string; join?: string; webhook?: string }
  readonly adminToken: string
  readonly databaseUrl: string
  readonly pid: number
  /** Every line it has written to stdout and stderr so far. */
  readonly lines: readonly string[]
  /**
   * Calls it with the admin token (or another); the body goes out and comes back as JSON. An answer that is not in the
   * OpenAPI document is an error, whatever a test looks for.
   */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>
  /** Ends it as an operator does, and comes back with its exit code. */
  stop(): Promise<number | null>
  /** Ends it as the kernel does when memory runs out. */
  kill9(): Promise<void>
  signal(signal: NodeJS.Signals): void
}

export interface CallOptions {
  /** null: none. */
  token?: string | null
  headers?: Record<string, string>
  /** Another listener of it. */
  at?: string | undefined
}

export interface Answer {
  status: number
  headers: Headers
  /** The JSON of the answer; undefined where it has none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
  text: string
}

export interface ServiceOptions {
  /** Beyond PATH and HOME the service sees only these. */
  env?: Record<string, string>
  /** A database that is there already; else a fresh one, dropped when the test ends. */
  databaseUrl?: string
  adminToken?: string
}

/** Starts a service and comes back when it is ready. It ends with the test. */
export async function startService(t: Pick<Test, 'teardown'>, options: ServiceOptions = {}): Promise<Service> {
  const databaseUrl = options.databaseUrl ?? (await createDatabase(t))
  const adminToken = options.adminToken ?? randomBytes(24).toString('base64url')
  const child = spawn(process.execPath, [program, 'serve'], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PORT: '0',
      DATABASE_URL: databaseUrl,
      EDGE_IPAM_ADMIN_TOKEN: adminToken,
      EDGE_IPAM_POOL: '10.213.0.0/16',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(async () => {
    if (isAlive(child)) {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  const lines: string[] = []
  const ready = await readyLine(child, lines)
  const url = new URL(ready.page).origin
  return {
    url,
    ready,
    adminToken,
    databaseUrl,
    pid: child.pid!,
    lines,
    call: (method, path, body, { token = adminToken, headers = {}, at = url } = {}) =>
      call(`${at}${path}`, method, body, { ...(token !== null && { authorization: `Bearer ${token}` }), ...headers }),
    stop: async () => {
      if (isAlive(child)) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      return child.exitCode
    },
    kill9: async () => {
      if (!isAlive(child)) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    signal: (signal) => child.kill(signal),
  }
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

function readyLine(child: ChildProcess, lines: string[]): Promise<Service['ready']> {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (stream === child.stdout && line.includes('"msg":"ready"')) resolve(JSON.parse(line))
      })
    }
    child.on('exit', (code) => reject(new Error(`the service ended with ${code}:\n${lines.join('\n')}`)))
  })
}

async function call(url: string, method: string, body: unknown, headers: Record<string, string>): Promise<Answer> {
  const answer = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    redirect: 'manual',
  })
  const text = await answer.text()
  const isJson = /json/.test(answer.headers.get('content-type') ?? '')
  const read = {
    status: answer.status,
    headers: answer.headers,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
    text,
  }
  const outside = undocumented(method, new URL(url).pathname, read)
  if (outside !== null) throw new Error(`not in the OpenAPI document: ${outside}`)
  return read
}
