import { randomUUID } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Config } from '../config/config.js'
import { type DataDir, openDataDir } from '../embedded/data-dir.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded/postgres.js'
import { endConnections, openDatabase } from '../store/database.js'
import { migrate } from '../store/migrate.js'
import type { Database } from '../store/schema.js'
import { isAway } from '../store/transaction.js'
import { StartError } from './start-error.js'
import { type Stop, stopAll } from './stop.js'

export interface Store {
  db: Kysely<Database>
  dataDir: DataDir | undefined
  stop: Stop
}

/**
 * Opens the database of the settings, or the embedded one, and brings it to the version that this code needs.
 * @throws StartError also when `signal` asks to stop before it is done: then nothing is left running, or half migrated
 */
export async function openStore(
  config: Config,
  progress: (line: string) => void,
  onError: (error: Error) => void,
  signal: AbortSignal,
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
    await bringUpToDate(options, progress, signal)
    const db = openDatabase(options)
    stops.push(() => db.destroy())
    return { db, dataDir, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function bringUpToDate(
  options: Omit<Parameters<typeof openDatabase>[0], 'patient' | 'name'>,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const name = `edge-ipam migration ${randomUUID()}`
  const db = openDatabase({ ...options, connections: 2, patient: true, name })
  // A migration may wait for hours, for a lock or for another replica's, and hears of nothing meanwhile.
  // Ended again and again, since it may be connecting just now.
  let ending: NodeJS.Timeout | undefined
  const end = () => void endConnections(options.url, name).catch(() => {})
  const stop = () => {
    end()
    ending = setInterval(end, 500)
  }
  signal.addEventListener('abort', stop)
  try {
    await waitForDatabase(() => migrate(db), progress, signal)
  } finally {
    signal.removeEventListener('abort', stop)
    clearInterval(ending)
    await db.destroy()
  }
}

/** For so long (ms) a database that is not there yet is waited for: it may be starting beside us. */
const WAIT_FOR_DATABASE = 15_000

async function waitForDatabase(
  work: () => Promise<unknown>,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + WAIT_FOR_DATABASE
  let told = false
  for (;;) {
    if (signal.aborted) throw new StartError('stopped before the database was ready; what was under way is undone', 1)
    try {
      await work()
      return
    } catch (error) {
      if (signal.aborted) continue
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
