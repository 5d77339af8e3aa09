import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Test } from 'tap'
import { type Binaries, installedBinaries } from '../../src/embedded/binaries.js'
import { type EmbeddedPostgres, startServer } from '../../src/embedded/postgres.js'

// Which server the tests use, in this order:
//   EDGE_IPAM_TEST_DATABASE_URL   a superuser's URL: an installed PostgreSQL
//   EDGE_IPAM_TEST_EMBEDDED_URL   the one that `npm test` started for its whole run
//   neither                       one of its own for this test file, started at the first use

const installed = process.env.EDGE_IPAM_TEST_DATABASE_URL
const shared = installed || process.env.EDGE_IPAM_TEST_EMBEDDED_URL

type Ending = Pick<Test, 'teardown'>

let own: Promise<{ server: EmbeddedPostgres; folder: string }> | undefined
let users = 0

/** A fresh, empty database; dropped, with whoever is still connected, when the test ends. Returns its URL. */
export async function createDatabase(t: Ending): Promise<string> {
  const server = await acquireServer()
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`
  await execute(server.url, `create database ${name}`)
  t.teardown(async () => {
    await execute(server.url, `drop database if exists ${name} with (force)`)
    await server.release()
  })
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return url.href
}

async function acquireServer(): Promise<{ url: string; release(): Promise<void> }> {
  if (shared) return { url: shared, release: async () => {} }
  users += 1
  own ??= (async () => {
    const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-test-'))
    return { folder, server: await startServer({ dataDir: folder, progress: () => {}, unsafe: true }) }
  })()
  const { server, folder } = await own
  return {
    url: server.url,
    release: async () => {
      users -= 1
      if (users > 0) return
      own = undefined
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

/** A server that a test may break. */
export interface PrivatePostgres {
  /** The same after every start. */
  readonly url: string
  pid(): number
  /** As the kernel would end it when memory runs out: no shutdown, the next start recovers. */
  kill9(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/**
 * A PostgreSQL of this test's own, as durable as in production; gone when the test ends.
 * The installed one when the tests run on an installed one, else the embedded.
 */
export async function startPrivatePostgres(t: Ending): Promise<PrivatePostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-test-'))
  const launch = (port?: number) =>
    startServer({
      dataDir: folder,
      progress: () => {},
      ...(port === undefined ? {} : { port }),
      ...(installed ? { binaries: newestInstalled() } : {}),
    })
  let server = await launch()
  const { url } = server
  t.teardown(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    url,
    pid: () => server.pid,
    kill9: async () => {
      process.kill(server.pid, 'SIGKILL')
      await server.stop()
    },
    start: async () => {
      server = await launch(Number(new URL(url).port))
    },
    stop: () => server.stop(),
  }
}

function newestInstalled(): Binaries {
  const home = '/usr/lib/postgresql'
  const versions = existsSync(home) ? readdirSync(home).map(Number).filter(Number.isInteger) : []
  if (versions.length === 0) throw new Error(`No PostgreSQL in ${home}, which EDGE_IPAM_TEST_DATABASE_URL promises`)
  return installedBinaries(join(home, String(Math.max(...versions)), 'bin'))
}
