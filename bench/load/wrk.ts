import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cores } from '../cpu.js'

/** A load as load/requests.lua makes it: what to send to whom, and which nodes' names. */
export interface Load {
  kind: 'allocate' | 'allocateIn' | 'batch' | 'lookup' | 'release' | 'registration' | 'review' | 'get'
  url: string
  token: string
  connections: number
  seconds: number
  /** Names are `<prefix><number of eight digits>`. */
  prefix: string
  /** The numbers: `count` of them, from `first` (default 0). A name is sent once until all were sent. */
  count: number
  first?: number
  /** For `allocateIn`: how many pools; each request names one of pool-0, pool-1, …, in turns. */
  pools?: number
  /** A file; for `get` it has a path in each line, for `review` a body. */
  lines?: string
}

export interface LoadResult {
  seconds: number
  /** Answered requests. */
  requests: number
  sent: number
  created: number
  ok: number
  /** Answers that are neither 200 nor 201, and the first of their statuses. */
  other: number
  firstOther: number
  socketErrors: number
  /** Milliseconds. */
  p50: number
  p99: number
}

/** One more would take from the server what the client does not need; on larger machines one may be too few. */
export const wrkThreads = cores >= 4 ? 2 : 1

const script = fileURLToPath(new URL('requests.lua', import.meta.url))

/** The generator is missing; the message says what to do. */
export class NoGenerator extends Error {}

/**
 * wrk's version.
 * @throws NoGenerator
 */
export function findWrk(): string {
  try {
    // It prints its version and usage, and ends with 1.
    execFileSync('wrk', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { code, stdout } = error as { code?: string; stdout?: string }
    if (code !== 'ENOENT') return /^wrk (\S+)/.exec(stdout ?? '')?.[1] ?? 'of unknown version'
    const found = ['oha', 'bombardier', 'k6'].filter(isInstalled)
    throw new NoGenerator(
      'The benchmark needs wrk, a compiled load generator: one in JavaScript would be the limit itself.\n' +
        'Get it with `apt-get install wrk` (Debian, Ubuntu), `brew install wrk`, or from https://github.com/wg/wrk.\n' +
        (found.length === 0
          ? ''
          : `There is ${found.join(' and ')}, which will not do: each request has to carry a name of its own, at the pace of a bare server.\n`),
    )
  }
  return 'of unknown version'
}

function isInstalled(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Puts the load on a server and waits for its end. */
export function runWrk(load: Load, signal: AbortSignal): Promise<LoadResult> {
  const threads = Math.min(wrkThreads, load.connections)
  const words = [
    load.kind,
    load.prefix,
    load.token,
    load.first ?? 0,
    load.count,
    stepFor(load.count),
    threads,
    load.pools ?? load.lines ?? '',
  ]
  // Who takes longer than this has failed.
  const args = [
    '--timeout',
    '20s',
    `-t${threads}`,
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '-s',
    script,
    load.url,
    '--',
    ...words,
  ]
  return new Promise((resolve, reject) => {
    const child = spawn('wrk', args.map(String), { stdio: ['ignore', 'pipe', 'pipe'], signal })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.once('error', reject)
    child.once('close', (code) => {
      const line = output.split('\n').find((one) => one.startsWith('@'))
      if (code !== 0 || line === undefined) reject(new Error(`wrk ended with ${code}:\n${output.trim()}`))
      else resolve(JSON.parse(line.slice(1)) as LoadResult)
    })
  })
}

/** A stride through `count` numbers that meets each of them once: it has no divisor in common with it. */
function stepFor(count: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))
  let step = Math.max(1, Math.round(count * 0.618))
  while (divisor(step, count) !== 1) step++
  return step
}
