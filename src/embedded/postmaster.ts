import type { ChildProcess } from 'node:child_process'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Binaries } from './binaries.js'
import { EmbeddedError } from './errors.js'
import { stopLeftover } from './leftover.js'
import { giveToOwnerOf } from './ownership.js'
import { type RunAs, spawnProgram } from './run-as.js'

const LOG_LIMIT_BYTES = 4 * 1024 * 1024
const PORT_TRIES = 5
/** How long backends of a killed postmaster may take to notice and let go of the shared memory. */
const OLD_MEMORY_MS = 15_000
const STOP_FAST_MS = 30_000
const STOP_IMMEDIATE_MS = 10_000

export interface Postmaster {
  readonly pid: number
  readonly port: number
  /** Settles when the process is gone, wanted or not. */
  readonly exited: Promise<void>
  /** Fast shutdown: open transactions are rolled back, everything committed is kept. */
  stop(): Promise<void>
}

export interface PostmasterOptions {
  folder: string
  logFile: string
  binaries: Binaries
  runAs: RunAs
  /** Fixed, or 0 for a free one. */
  port: number
  /** Trades durability for speed: for throw-away servers of tests only. */
  unsafe: boolean
  progress: (line: string) => void
}

/**
 * Starts the postmaster on a finished folder and waits until it takes connections, recovery included.
 * Throws EmbeddedError with PostgreSQL's own reason when it does not come up.
 */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const giveUpOnMemory = Date.now() + OLD_MEMORY_MS
  for (let attempt = 1; ; attempt++) {
    await stopLeftover(options.folder, options.progress)
    const port = options.port || (await freePort())
    const log = await openLog(options.logFile)
    const child = spawnProgram(
      options.binaries,
      options.runAs,
      options.binaries.postgres,
      ['-D', options.folder, ...settings(port, options)],
      ['ignore', log.fd, log.fd],
    )
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    await log.close()
    askToStopAtExit(child, exited)
    if (await isReady(child, exited, options)) {
      return { pid: child.pid as number, port, exited, stop: () => stop(child, exited) }
    }
    const said = (await readFile(options.logFile, 'utf8')).slice(log.start)
    if (/pre-existing shared memory|lock file "postmaster.pid" already exists/.test(said)) {
      if (Date.now() < giveUpOnMemory) {
        await pause(200)
        continue
      }
    } else if (/could not bind|could not create any TCP/.test(said) && attempt < PORT_TRIES) {
      await pause(options.port ? 200 : 0)
      continue
    }
    throw new EmbeddedError(
      `The embedded database in ${options.folder} does not start: ${reasonIn(said)}\n` +
        `Its log is ${options.logFile}. DATABASE_URL uses a PostgreSQL of your own instead.`,
    )
  }
}

/** PostgreSQL's own words; what it says before its log is set up carries no severity. */
function reasonIn(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  const fatal = lines.findLast((line) => /(FATAL|PANIC): /.test(line))
  return fatal?.replace(/^.*?(FATAL|PANIC): +/, '') ?? (lines.slice(-2).join(' ') || 'it ended without a word')
}

/** For a process that ends without stopping its server (an uncaught error): there is no time to wait, only to ask. */
function askToStopAtExit(child: ChildProcess, exited: Promise<void>): void {
  const ask = () => child.kill('SIGINT')
  process.once('exit', ask)
  void exited.then(() => process.removeListener('exit', ask))
}

function settings(port: number, { unsafe }: PostmasterOptions): string[] {
  const durable = unsafe ? 'off' : 'on'
  const values: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    // A socket file would need a path of at most 107 bytes.
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '64MB',
    max_wal_size: '512MB',
    huge_pages: 'off',
    jit: 'off',
    fsync: durable,
    synchronous_commit: durable,
    full_page_writes: durable,
    TimeZone: 'UTC',
    log_timezone: 'UTC',
    // Server events, but no failed statements: those are the service's to report, and may hold data.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    logging_collector: 'off',
  }
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** The eighth line of the pid file is PostgreSQL's own word on whether it is up (what pg_ctl reads). */
async function isReady(child: ChildProcess, exited: Promise<void>, options: PostmasterOptions): Promise<boolean> {
  let gone = false
  void exited.then(() => {
    gone = true
  })
  let nextWord = Date.now() + 5_000
  while (!gone) {
    const lines = (await readFile(join(options.folder, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true
    if (Date.now() > nextWord) {
      options.progress('waiting for the embedded database to recover')
      nextWord += 5_000
    }
    await Promise.race([pause(15), exited])
  }
  return false
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  for (const [signal, limit] of [['SIGINT', STOP_FAST_MS] as const, ['SIGQUIT', STOP_IMMEDIATE_MS] as const]) {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const timer = new AbortController()
    const late = pause(limit, 'late', { signal: timer.signal }).catch(() => 'in time')
    if ((await Promise.race([exited, late])) !== 'late') {
      timer.abort()
      return
    }
  }
  child.kill('SIGKILL')
  await exited
}

async function openLog(file: string): Promise<{ fd: number; start: number; close(): Promise<void> }> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  )
  if (size > LOG_LIMIT_BYTES) await rename(file, `${file}.old`)
  const handle = await open(file, 'a', 0o600)
  giveToOwnerOf(dirname(file), file)
  return { fd: handle.fd, start: size > LOG_LIMIT_BYTES ? 0 : size, close: () => handle.close() }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
