import { CompiledQuery, Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import pg from 'pg'
import type { Database } from './schema.js'

/** Whoever runs a statement: the database itself, or a transaction in it. */
export type Executor = Kysely<Database>

/** A statement that got no answer in this time (ms) has failed: callers are promised an answer within five seconds. */
export const STATEMENT_TIMEOUT = 4_000

const { INT8, TIMESTAMPTZ } = pg.types.builtins

/** Integers of 64 bits are numbers where they fit one exactly; nothing of ours ever leaves that range. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8) return Number
    return oid === TIMESTAMPTZ ? readTime : pg.types.getTypeParser(oid, format as 'text' | undefined)
  },
} as pg.CustomTypesConfig

const parseTime: (text: string) => Date = pg.types.getTypeParser(TIMESTAMPTZ, 'text')
let last = { text: '', time: Number.NaN }

/** To read a time costs as much as the rest of its row, and all rows of a batch have the same one: it is read once. */
function readTime(text: string): Date {
  if (text !== last.text) last = { text, time: parseTime(text).getTime() }
  return new Date(last.time)
}

/** Names of the statements that are prepared, by their texts. */
const names = new Map<string, string>()

/**
 * A statement that each connection prepares once, for those that are sent thousands of times a second: to parse and plan
 * one of them costs as much as it does to serve some callers.
 */
export function prepared<Row>(name: string, text: string): (db: Executor, ...values: unknown[]) => Promise<Row[]> {
  names.set(text, name)
  return async (db, ...values) => (await db.executeQuery<Row>(CompiledQuery.raw(text, values))).rows
}

/**
 * Opens a pool of connections. Nothing is connected yet: the first statement does that.
 * @param options.url `postgres://…`
 * @param options.onError told of a connection that broke while nobody used it
 */
export function openDatabase(options: {
  url: string
  connections: number
  onError: (error: Error) => void
  /** Wait as long as it takes: for migrations, which may be long and wait for each other. */
  patient?: boolean
  /** What the server calls its connections; `edge-ipam`, if it is not said. */
  name?: string
}): Kysely<Database> {
  const pool = new pg.Pool({
    connectionString: withLibpqMeaning(options.url),
    application_name: options.name ?? 'edge-ipam',
    max: options.connections,
    types,
    // To compile a plan, or to start workers for it, takes longer than nearly all of ours run.
    options: '-c jit=off -c max_parallel_workers_per_gather=0',
    connectionTimeoutMillis: 3_000,
    ...(options.patient
      ? {}
      : {
          query_timeout: STATEMENT_TIMEOUT,
          statement_timeout: STATEMENT_TIMEOUT,
          idle_in_transaction_session_timeout: 10_000,
        }),
    keepAlive: true,
  })
  // Without listeners a connection that breaks would end the process: idle in the pool, or in use. In use its statement
  // fails too, which is how people hear of it.
  pool.on('error', options.onError)
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: withoutTheHung(pool) }) })
  pools.set(db, pool)
  return db
}

/** Has `sslmode` mean what it means to psql and every other client; the driver alone reads all but `disable` as verify-full. */
function withLibpqMeaning(url: string): string {
  return /[?&]sslmode=/.test(url) && !/[?&]uselibpqcompat=/.test(url) ? `${url}&uselibpqcompat=true` : url
}

/**
 * Throws away a connection that is not known to be idle, instead of lending it to the next caller. After a statement
 * that got no answer in time, pg calls a connection as good as any; but its BEGIN may still reach the server, and then
 * the next caller's work would sit in a transaction that nobody commits: answered, and lost.
 */
function withoutTheHung(pool: pg.Pool): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect()
      let known = true
      const query = async (text: string, values: unknown[]) => {
        try {
          return await client.query({ name: names.get(text), text, values })
        } catch (error) {
          // What the server itself refused leaves the connection in a state that it has told.
          known &&= error instanceof pg.DatabaseError
          throw error
        }
      }
      return {
        query: query as never,
        release: () => client.release(!known || client.getTransactionStatus() !== 'I'),
      }
    },
    end: () => pool.end(),
  }
}

const pools = new WeakMap<Executor, pg.Pool>()

/** How many connections there are, how many of them do nothing, and how many statements wait for one. */
export function connectionsOf(db: Executor): { total: number; idle: number; waiting: number } {
  const pool = pools.get(db)
  return { total: pool?.totalCount ?? 0, idle: pool?.idleCount ?? 0, waiting: pool?.waitingCount ?? 0 }
}

/** Ends the connections of this name at the server, whatever they wait for: what they had under way is undone. */
export async function endConnections(url: string, name: string): Promise<void> {
  const db = openDatabase({ url, connections: 1, onError: () => {} })
  try {
    await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = ${name} and usename = current_user`.execute(db)
  } finally {
    await db.destroy()
  }
}
