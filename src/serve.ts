import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { Kysely } from 'kysely'
import { pino } from 'pino'
import pretty from 'pino-pretty'
import { buildApp } from './app.js'
import type { Config } from './config.js'
import { Authenticator } from './domain/authenticator.js'
import { startEngine } from './domain/context.js'
import { makeFirstPool } from './domain/pools.js'
import { sweep } from './domain/reclaim.js'
import { settleAdminToken } from './domain/tokens.js'
import { type DataDir, openDataDir } from './embedded/data-dir.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.js'
import { createMetrics } from './integrations/metrics.js'
import { createLock } from './lock/allocation-lock.js'
import { openDatabase } from './store/database.js'
import { isCurrent, migrate } from './store/migrate.js'
import type { Database } from './store/schema.js'
import { isAway } from './store/transaction.js'

/** It cannot start; the message tells people why and what to do. */
export class StartError extends Error {
  constructor(
    message: string,
    /** 1: failed, 2: the settings are wrong. */
    readonly exitCode: 1 | 2,
  ) {
    super(message)
  }
}

/** Something that runs, and how to end it. Ended in the reverse order of starting. */
type Stop = () => Promise<void>

const SWEEP_EVERY = 30_000

/** The longest that running requests may take to finish when the service ends (ms). */
const GRACE = 10_000

export interface Store {
  db: Kysely<Database>
  dataDir: DataDir | undefined
  stop: Stop
}

/** Opens the database of the settings, or the embedded one, and brings it to the version that this code needs. */
export async function openStore(
  config: Config,
  progress: (line: string) => void,
  onError: (error: Error) => void,
): Promise<Store> {
  const stops: Stop[] = []
  const stop = () => stopAll(stops)
  try {
    let url = config.databaseUrl
    let dataDir: DataDir | undefined
    if (url === undefined) {
      dataDir = await openDataDir(config.dataDir)
      stops.push(async () => dataDir?.close())
      const embedded: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir: dataDir.path, progress })
      stops.push(() => embedded.stop())
      url = embedded.url
    }
    const options = { url, connections: config.databaseConnections, onError }
    const patient = openDatabase({ ...options, connections: 2, patient: true })
    try {
      await waitForDatabase(() => migrate(patient), progress)
    } finally {
      await patient.destroy()
    }
    const db = openDatabase(options)
    stops.push(() => db.destroy())
    return { db, dataDir, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** For so long (ms) a database that is not there yet is waited for: it may be starting beside us. */
const WAIT_FOR_DATABASE = 15_000

async function waitForDatabase(work: () => Promise<unknown>, progress: (line: string) => void): Promise<void> {
  const deadline = performance.now() + WAIT_FOR_DATABASE
  let told = false
  for (;;) {
    try {
      await work()
      return
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      // 28: no such user or password; 3D: no such database; 42501: not allowed to make tables.
      if (code !== undefined && /^(28|3D|42501)/.test(code)) {
        throw new StartError(`DATABASE_URL: the database refuses us: ${message}`, 2)
      }
      if (message === 'The server does not support SSL connections') {
        throw new StartError('DATABASE_URL: sslmode asks for TLS, and the server there has none', 2)
      }
      if (!isAway(error)) throw error
      if (performance.now() > deadline) {
        throw new StartError(
          `DATABASE_URL: the database cannot be reached: ${reasonOf(error)}. Is it running there?`,
          1,
        )
      }
      if (!told) progress(`waiting for the database (${reasonOf(error)})`)
      told = true
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ')
  return (error as Error).message
}

export interface Running {
  url: string
  dataDir: DataDir | undefined
  adminTokenFile: string | undefined
  stop: Stop
}

/** Starts the service and comes back when it is ready. Nothing is left running when it throws. */
export async function serve(
  config: Config,
  progress: (line: string) => void,
  log: FastifyBaseLogger,
): Promise<Running> {
  const stops: Stop[] = []
  const stop = () => stopAll(stops)
  try {
    const store = await openStore(config, progress, (error) =>
      log.warn({ cause: error.message }, 'a database connection broke'),
    )
    stops.push(store.stop)
    const { db, dataDir } = store
    const generated = config.adminToken === undefined && dataDir !== undefined
    if (!(await settleAdminToken(db, generated ? dataDir.adminToken() : config.adminToken))) {
      throw new StartError('EDGE_IPAM_ADMIN_TOKEN: needed at the first start on a database; at least 32 characters', 2)
    }
    if (config.pool !== undefined) await makeFirstPool(db, config.pool)

    const lock = createLock({ redisUrl: config.redisUrl, log })
    stops.push(() => lock.close())
    stops.push(sweepNowAndThen(db, log))
    const onError = (error: unknown) => log.warn({ cause: (error as Error).message }, 'a use was not noted')
    const metrics = createMetrics({ db, lock: lock.stats, version: version() })
    const app = await buildApp({
      metrics,
      services: { db, engine: startEngine(db, lock, metrics.observer), authenticator: new Authenticator(db, onError) },
      isReady: () => isCurrent(db),
      log,
    })
    stops.push(() => closeWithin(GRACE, app))
    await app.listen({ host: config.host, port: config.port }).catch((error: NodeJS.ErrnoException) => {
      throw new StartError(listenProblem(config, error), 1)
    })
    const { port } = app.server.address() as AddressInfo
    const host = ['0.0.0.0', '::', '::0'].includes(config.host) ? '127.0.0.1' : config.host
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    dataDir?.announce({ url })
    return { url, dataDir, adminTokenFile: generated ? dataDir.adminTokenFile : undefined, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function listenProblem({ host, port }: Config, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `PORT=${port}: another program listens there already. Stop it, or choose another port.`
    case 'EACCES':
      return `PORT=${port}: this user may not listen there. Choose a port above 1023.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST=${host}: this machine has no such address.`
    default:
      return `HOST=${host} PORT=${port}: ${error.message}`
  }
}

async function stopAll(stops: Stop[]): Promise<void> {
  for (let stop = stops.pop(); stop; stop = stops.pop()) await stop().catch(() => {})
}

async function closeWithin(ms: number, app: { close(): PromiseLike<unknown>; server: Server }): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), ms)
  await app.close()
  clearTimeout(timer)
}

function sweepNowAndThen(db: Kysely<Database>, log: FastifyBaseLogger): Stop {
  const over = new AbortController()
  let running = Promise.resolve()
  const timer = setInterval(() => {
    running = running
      .then(() => sweep(db, over.signal))
      .then((freed) => {
        if (freed > 0) log.info({ freed }, 'addresses left quarantine')
      })
      .catch((error: Error) => log.warn({ cause: error.message }, 'the sweep failed; the next one goes on'))
  }, SWEEP_EVERY)
  return async () => {
    clearInterval(timer)
    over.abort()
    await running
  }
}

/** JSON lines; for people who watch a terminal, something to read. */
export function createLogger(level: string, terminal: boolean): FastifyBaseLogger {
  if (!terminal) return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime })
  return pino({ level, base: null }, pretty({ colorize: true, translateTime: 'HH:MM:ss', sync: true }))
}

export function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}
