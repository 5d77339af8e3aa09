import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Absent } from '../measurement.js'
import type { Scope } from '../scope.js'
import type { HttpServer } from '../servers/http.js'

const run = promisify(execFile)
const source = fileURLToPath(new URL('open', import.meta.url))

/** Requests per second, and for how long; a rate of 0 is a closed loop. */
export interface Phase {
  rate: number
  seconds: number
}

/** Milliseconds from when the requests were due. */
export interface Times {
  count: number
  p50: number
  p99: number
  max: number
}

interface Outcome {
  created: Times
  refused: Times
}

export interface OpenLoopResult {
  phases: Outcome[]
  /** Of each tenth of a second in which requests were due. */
  moments: Outcome[]
  sent: number
  /** Refusals without Retry-After. */
  unhelpful: number
  wrong: number
  firstWrong: string
  broken: number
  /** Sent late for want of a connection or of the generator's own time, and not sent at all. */
  late: number
  unsent: number
  unanswered: number
}

export type OpenLoop = (
  server: HttpServer,
  load: { phases: readonly Phase[]; connections: number; prefix: string },
  signal: AbortSignal,
) => Promise<OpenLoopResult>

/**
 * Builds the generator, which wrk cannot replace: wrk waits for answers, and so offers a server just what it can do.
 * @throws Absent
 */
export async function buildOpenLoop(scope: Scope): Promise<OpenLoop> {
  if (process.platform !== 'linux') throw new Absent('the open-loop generator runs on Linux only')
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-generator-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const program = join(folder, 'open')
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' }
  await run('go', ['build', '-o', program, '.'], { cwd: source, env }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT'
      ? new Absent('no Go, which builds the open-loop generator: apt-get install golang-go, or https://go.dev/dl')
      : new Absent(`Go cannot build the open-loop generator: ${error.message}`)
  })
  return async ({ url, token }, { phases, connections, prefix }, signal) => {
    const args = {
      address: new URL(url).host,
      token,
      prefix,
      connections,
      phases: phases.map(({ rate, seconds }) => `${rate}:${seconds}`).join(),
    }
    const words = Object.entries(args).map(([name, value]) => `-${name}=${value}`)
    const { stdout } = await run(program, words, { signal, maxBuffer: 64 * 1024 * 1024 })
    return JSON.parse(stdout) as OpenLoopResult
  }
}
