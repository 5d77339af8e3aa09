import { readFileSync } from 'node:fs'
import pg from 'pg'
import type { PrivatePostgres } from '../support/postgres.js'
import type { TestRedis } from '../support/redis.js'
import type { Service } from '../support/service.js'
import { familyOf, signalFamily, until } from './support.js'

/** All that can be broken. */
export interface Site {
  replicas: Service[]
  redis: TestRedis
  postgres: PrivatePostgres
  /** A new process in the place of a replica. */
  startReplica(which: number): Promise<void>
  /** Resolves when some requests have had answers since. */
  answers(): Promise<void>
  /** Resolves when requests have been made again since, having had no answer, or 503. */
  repeats(): Promise<void>
}

/** Something breaks, and is whole again when it resolves. */
export type Fault = (site: Site) => Promise<unknown>

const killReplica =
  (which: number): Fault =>
  async ({ replicas, startReplica }) => {
    await replicas[which]!.kill9()
    await startReplica(which)
  }

/** Stopped for so long that clients give up and ask the other replica; then it goes on with what it has. */
const stopReplica =
  (which: number): Fault =>
  async ({ replicas, repeats }) => {
    replicas[which]!.signal('SIGSTOP')
    await repeats()
    replicas[which]!.signal('SIGCONT')
  }

export const faults: Record<string, Fault> = {
  'kill -9 of replica A': killReplica(0),
  'kill -9 of replica B': killReplica(1),
  'SIGSTOP of replica A': stopReplica(0),
  'SIGSTOP of replica B': stopReplica(1),

  'kill -9 of Redis': async ({ redis, answers }) => {
    await redis.kill9()
    await answers()
    await redis.start()
  },
  'SIGSTOP of Redis': async ({ redis, answers }) => {
    redis.pause()
    await answers()
    redis.resume()
  },
  'FLUSHALL of Redis': ({ redis }) => redis.cli('FLUSHALL'),
  'Redis is full': async ({ redis, answers }) => {
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
    await answers()
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
  },

  'kill -9 of a PostgreSQL backend': async ({ postgres }) => {
    process.kill(backendOf(postgres), 'SIGKILL')
    await connects(postgres)
  },
  'end of all PostgreSQL connections': ({ postgres }) =>
    withClient(postgres, (client) =>
      client.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()'),
    ),
  'kill -9 of the postmaster': async ({ postgres }) => {
    await postgres.kill9()
    await postgres.start()
  },
  'kill -9 of all of PostgreSQL': async ({ postgres }) => {
    signalFamily(postgres.pid(), 'SIGKILL')
    await postgres.stop()
    await postgres.start()
  },
  'SIGSTOP of all of PostgreSQL': async ({ postgres, repeats }) => {
    signalFamily(postgres.pid(), 'SIGSTOP')
    await repeats()
    signalFamily(postgres.pid(), 'SIGCONT')
  },
  'PostgreSQL restarts, fast': async ({ postgres }) => {
    await postgres.stop()
    await postgres.start()
  },
  'PostgreSQL restarts, immediate': async ({ postgres }) => {
    process.kill(postgres.pid(), 'SIGQUIT')
    await postgres.stop()
    await postgres.start()
  },

  'power failure': async ({ replicas, redis, postgres, startReplica }) => {
    signalFamily(postgres.pid(), 'SIGKILL')
    await Promise.all([postgres.stop(), redis.kill9(), ...replicas.map((replica) => replica.kill9())])
    await Promise.all([postgres.start(), redis.start()])
    await Promise.all(replicas.map((_, which) => startReplica(which)))
  },
}

/** A process of PostgreSQL that serves a client; its title names the client's address. */
function backendOf(postgres: PrivatePostgres): number {
  const serves = (pid: number) => {
    try {
      return /127\.0\.0\.1\(\d+\)/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    } catch {
      return false
    }
  }
  const found = familyOf(postgres.pid()).find(serves)
  if (found === undefined) throw new Error('PostgreSQL serves nobody')
  return found
}

/** Resolves when PostgreSQL lets somebody in again, having recovered by itself. */
async function connects(postgres: PrivatePostgres): Promise<void> {
  await until('PostgreSQL lets somebody in', () =>
    withClient(postgres, (client) => client.query('select 1')).then(
      () => true,
      () => false,
    ),
  )
}

async function withClient<T>({ url }: PrivatePostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}
