import { access, mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Binaries, embeddedBinaries } from './binaries.js'
import { clusterFolder, openCluster } from './cluster.js'
import { readOrCreateSecret } from './data-dir.js'
import { EmbeddedError, explainFolderError } from './errors.js'
import { stopLeftover } from './leftover.js'
import { type Postmaster, startPostmaster } from './postmaster.js'
import { chooseRunAs, type RootTools, type RunAs, runProgram } from './run-as.js'

export interface EmbeddedPostgres {
  /** A connection string for the superuser, on loopback; the port may change with each start. */
  readonly url: string
  readonly pid: number
  /** Fast shutdown. Connections that are still open are ended. */
  stop(): Promise<void>
}

export interface ServerOptions {
  dataDir: string
  progress: (line: string) => void
  /** Default: the ones of the npm package. */
  binaries?: Binaries
  /** Default: a free one. */
  port?: number
  /** No fsync: for throw-away servers of tests only. */
  unsafe?: boolean
  /** Bring the server back, on the same port, when it ends without being asked to. */
  supervise?: boolean
  /** Which programs make it possible to run as root; for tests of machines that have others. */
  rootTools?: RootTools
}

/**
 * The embedded PostgreSQL of one service: its data in `<dataDir>/postgres`, durable, restarted when it crashes.
 * The caller holds the lock of the data folder (openDataDir). `progress` gets a line for people at each slow step.
 * Throws EmbeddedError when there is no PostgreSQL for this machine, or when the folder or its data cannot be used.
 */
export function startEmbeddedPostgres(options: {
  dataDir: string
  progress: (line: string) => void
}): Promise<EmbeddedPostgres> {
  return startServer({ ...options, supervise: true })
}

/** As startEmbeddedPostgres, with more to choose. */
export async function startServer(options: ServerOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  try {
    return await start({ ...options, dataDir })
  } catch (error) {
    throw explainFolderError(dataDir, error)
  }
}

async function start(options: ServerOptions): Promise<EmbeddedPostgres> {
  const { dataDir, progress } = options
  const folder = clusterFolder(dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await access(dataDir)
  const binaries = options.binaries ?? (await embeddedBinaries(join(dataDir, 'postgres-lib')))
  const dataOwner = await stat(folder).catch(() => stat(dataDir))
  const runAs = await chooseRunAs(binaries, dataDir, dataOwner, options.rootTools)
  const passwordFile = join(dataDir, 'postgres-password')
  const hadPassword = await access(passwordFile).then(
    () => true,
    () => false,
  )
  const password = readOrCreateSecret(dataDir, passwordFile)
  const sync = !options.unsafe
  await openCluster({ dataDir, passwordFile, binaries, runAs, sync, progress })
  if (!hadPassword) await setPassword(folder, binaries, runAs, password, progress)

  progress('starting the embedded database')
  const postmaster = {
    folder,
    logFile: join(dataDir, 'postgres.log'),
    binaries,
    runAs,
    unsafe: options.unsafe ?? false,
    progress,
  }
  const server = new Server(await startPostmaster({ ...postmaster, port: options.port ?? 0 }), password)
  if (options.supervise) {
    void server.supervise((port) => startPostmaster({ ...postmaster, port }), progress)
  }
  return server
}

class Server implements EmbeddedPostgres {
  readonly url: string
  #postmaster: Postmaster
  #stopping = false
  #restart: Promise<void> = Promise.resolve()

  constructor(postmaster: Postmaster, password: string) {
    this.#postmaster = postmaster
    this.url = `postgres://postgres:${password}@127.0.0.1:${postmaster.port}/postgres`
  }

  get pid(): number {
    return this.#postmaster.pid
  }

  async supervise(startAgain: (port: number) => Promise<Postmaster>, progress: (line: string) => void): Promise<void> {
    let wait = 100
    for (;;) {
      const since = Date.now()
      await this.#postmaster.exited
      if (this.#stopping) return
      progress('the embedded database ended unexpectedly; starting it again')
      if (Date.now() - since > 60_000) wait = 100
      this.#restart = (async () => {
        while (!this.#stopping) {
          try {
            this.#postmaster = await startAgain(this.#postmaster.port)
            return
          } catch (error) {
            progress(error instanceof Error ? error.message : String(error))
            await pause(wait)
            wait = Math.min(wait * 2, 5_000)
          }
        }
      })()
      await this.#restart
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#restart
    await this.#postmaster.stop()
  }
}

/** The data outlived its password file: the single-user mode, which asks for none, sets the new one. */
async function setPassword(
  folder: string,
  binaries: Binaries,
  runAs: RunAs,
  password: string,
  progress: (line: string) => void,
): Promise<void> {
  await stopLeftover(folder, progress)
  const args = ['--single', '-D', folder, 'postgres']
  // The secret is base64url: nothing in it needs quoting.
  const { code, output } = await runProgram(
    binaries,
    runAs,
    binaries.postgres,
    args,
    `alter role postgres password '${password}';\n`,
  )
  if (code !== 0 || /ERROR|FATAL/.test(output)) {
    throw new EmbeddedError(
      `The password of the embedded database in ${folder} was lost and cannot be set again: ${output.trim().split('\n').at(-1)}`,
    )
  }
}
