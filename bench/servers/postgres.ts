import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { installedBinaries } from '../../src/embedded/binaries.js'
import { startServer } from '../../src/embedded/postgres.js'
import { parentOfPostgres } from '../cpu.js'
import type { Scope } from '../scope.js'

/** The PostgreSQL that all contestants of a run share, each with a database of its own. */
export interface Postgres {
  /** Version and what its durability rests on, for people. */
  readonly facts: string
  /** Its first process; null where it does not run on this machine. */
  readonly postmaster: number | null
  /** A fresh database, or a copy of the one at the URL, to which nobody may be connected; gone when the scope ends. Returns its URL. */
  createDatabase(scope: Scope, template?: string): Promise<string>
}

const installedHome = '/usr/lib/postgresql'

/** The programs of the newest PostgreSQL that Debian's packages installed. */
export function newestInstalled(): string | undefined {
  const versions = existsSync(installedHome) ? readdirSync(installedHome).map(Number).filter(Number.isInteger) : []
  const folder = join(installedHome, String(Math.max(...versions)), 'bin')
  return existsSync(join(folder, 'postgres')) ? folder : undefined
}

/** The server at the URL; without one the newest that is installed, in a temporary folder; else the embedded one. */
export async function openPostgres(
  url: string | undefined,
  scope: Scope,
  progress: (line: string) => void,
): Promise<Postgres> {
  if (url !== undefined) return describe(url, 'as given')
  const folder = durableFolder()
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const programs = newestInstalled()
  const server = await startServer({
    dataDir: folder,
    progress,
    ...(programs !== undefined && { binaries: installedBinaries(programs) }),
  })
  scope.onEnd(() => server.stop())
  return describe(server.url, programs === undefined ? 'the embedded one' : 'installed here, started for this run')
}

/** Not in memory: there an fsync costs nothing, and a figure would mean nothing. */
function durableFolder(): string {
  const TMPFS = 0x01021994
  let parent = tmpdir()
  if (statfsSync(parent).type === TMPFS) {
    parent = join(process.cwd(), '.edge-ipam')
    mkdirSync(parent, { recursive: true })
  }
  return mkdtempSync(join(parent, 'edge-ipam-bench-'))
}

async function describe(url: string, origin: string): Promise<Postgres> {
  const { pid, ...settings } = await withClient(url, async (client) => {
    const { rows } = await client.query(`
      select pg_backend_pid() as pid, current_setting('server_version') as version, current_setting('fsync') as fsync,
        current_setting('synchronous_commit') as synchronous_commit, current_setting('shared_buffers') as shared_buffers,
        current_setting('max_wal_size') as max_wal_size`)
    const { pid: backend, ...rest } = rows[0] as Record<string, string> & { pid: number }
    return { pid: parentOfPostgres(backend), ...rest } as { pid: number | null } & Record<string, string>
  })
  const { version, ...others } = settings
  const list = Object.entries(others).map(([name, value]) => `${name} ${value}`)
  return {
    facts: `PostgreSQL ${version?.split(' ')[0]}, ${origin}: ${list.join(', ')}`,
    postmaster: pid,
    createDatabase: async (scope, template) => {
      const name = `bench_${randomBytes(6).toString('hex')}`
      const copied = template === undefined ? '' : ` template ${new URL(template).pathname.slice(1)}`
      await withClient(url, (client) => client.query(`create database ${name}${copied}`))
      scope.onEnd(() => withClient(url, (client) => client.query(`drop database if exists ${name} with (force)`)))
      const own = new URL(url)
      own.pathname = `/${name}`
      return own.href
    },
  }
}

/** Runs the work on a connection of its own. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
