import pg from 'pg'
import type { Contestant, Effort } from './contest.js'
import { checkSums, countHoldings, makeFleet } from './fleet.js'
import { type Load, type LoadResult, runWrk } from './load/wrk.js'
import { findPgbench, preparePgbench } from './pgbench.js'
import type { Scope } from './scope.js'
import { type HttpServer, startBareServer, startService } from './servers/http.js'
import type { Postgres } from './servers/postgres.js'
import type { BenchRedis } from './servers/redis.js'

/** What all contestants of a run share. */
export interface Bench {
  postgres: Postgres
  redis: BenchRedis | undefined
  /** What starts the service. */
  program: string
  /** Where the services leave their CPU profiles. */
  profile: string | undefined
  signal: AbortSignal
}

/** Starts a contestant; what it started ends with the scope. */
export type Builder = (bench: Bench, scope: Scope, name: string) => Promise<Contestant>

/** It cannot take part on this machine; the message says why. */
export class Absent extends Error {}

/** Sixteen million addresses: no run ever fills them. */
const POOL = '10.0.0.0/8'
/** More names than any round can send. */
const ENDLESS = 50_000_000
const FLEET = 20_000

/** The load that `kind` puts on the bare server. */
export function bare(kind: Load['kind'], connections: number): Builder {
  return async (bench, scope) => {
    const server = await startBareServer(scope)
    let result: LoadResult
    return {
      watched: { server: server.pid, postmaster: bench.postgres.postmaster },
      measure: async (seconds) => {
        result = await put({ kind, connections, seconds, prefix: 'edge-r00-', count: ENDLESS }, server, bench)
        return effortOf(result)
      },
      verify: async () => wrongAnswers(result, kind === 'allocate' ? 'created' : 'ok'),
    }
  }
}

/** The same load on a service of its own, with a database of its own. */
export function service(kind: Load['kind'], connections: number, options: { redis?: boolean } = {}): Builder {
  return async (bench, scope, name) => {
    if (options.redis && !bench.redis) {
      throw new Absent('no Redis: install redis-server or valkey-server, or name one with --redis')
    }
    const databaseUrl = await bench.postgres.createDatabase(scope)
    const server = await startService(scope, {
      program: bench.program,
      databaseUrl,
      redisUrl: options.redis ? bench.redis?.url : undefined,
      pool: POOL,
      profile: bench.profile && `${bench.profile}/${name}`,
    })
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    scope.onEnd(() => client.end())
    const watched = { server: server.pid, postmaster: bench.postgres.postmaster }
    const load = (more: Pick<Load, 'seconds' | 'prefix' | 'count'>) =>
      put({ kind, connections, ...more }, server, bench)
    return { watched, ...(await kinds[kind](client, load)) }
  }
}

type Kind = (
  client: pg.Client,
  load: (more: Pick<Load, 'seconds' | 'prefix' | 'count'>) => Promise<LoadResult>,
) => Promise<Omit<Contestant, 'watched'>>

const kinds: Record<Load['kind'], Kind> = {
  allocate: async (client, load) => {
    const prefixes = newPrefixes()
    let prefix = ''
    let result: LoadResult
    return {
      measure: async (seconds) => {
        prefix = prefixes()
        result = await load({ seconds, prefix, count: ENDLESS })
        return effortOf(result)
      },
      verify: async () => {
        const held = await countHoldings(client, prefix)
        return [
          ...wrongAnswers(result, 'created'),
          ...(held.rows >= result.created ? [] : [`${result.created} answers of 201, and only ${held.rows} rows`]),
          ...(held.rows <= result.sent ? [] : [`${held.rows} rows for ${result.sent} requests`]),
          ...(held.addresses === held.rows && held.names === held.rows
            ? []
            : [`${held.rows} rows with ${held.addresses} addresses and ${held.names} names`]),
          ...(held.audited_created === held.rows ? [] : [`${held.rows} rows, ${held.audited_created} audit rows`]),
          ...(await checkSums(client)),
        ]
      },
    }
  },

  release: async (client, load) => {
    const prefixes = newPrefixes()
    let prefix = ''
    let count = 0
    let best = 5_000
    let result: LoadResult
    return {
      prepare: async (seconds) => {
        prefix = prefixes()
        // Each is released once, so there have to be more than the round can send.
        count = Math.ceil(best * seconds * 2)
        await makeFleet(client, { prefix, count })
      },
      measure: async (seconds) => {
        result = await load({ seconds, prefix, count })
        const effort = effortOf(result)
        best = Math.max(best, effort.rate)
        return effort
      },
      verify: async () => {
        const held = await countHoldings(client, prefix)
        return [
          ...wrongAnswers(result, 'ok'),
          ...(result.sent <= count ? [] : [`${count} nodes were prepared, and ${result.sent} releases sent`]),
          ...(held.rows === count ? [] : [`${count} nodes were prepared, and ${held.rows} have a row`]),
          ...(held.quarantined >= result.ok && held.quarantined <= result.sent
            ? []
            : [`${result.ok} releases answered, ${held.quarantined} addresses quarantined`]),
          ...(held.audited_released === held.quarantined
            ? []
            : [`${held.quarantined} addresses quarantined, ${held.audited_released} audit rows`]),
        ]
      },
    }
  },

  lookup: (client, load) => steady(client, load, false),
  registration: (client, load) => steady(client, load, true),
}

/** Questions about a fleet that stays as it is: nothing may change, and nothing be written. */
async function steady(client: pg.Client, load: Parameters<Kind>[1], registered: boolean): ReturnType<Kind> {
  const prefix = newPrefixes()()
  await makeFleet(client, { prefix, count: FLEET, registered })
  await client.query('analyze')
  const before = await countHoldings(client, prefix)
  let result: LoadResult
  return {
    measure: async (seconds) => {
      result = await load({ seconds, prefix, count: FLEET })
      return effortOf(result)
    },
    verify: async () => {
      const after = await countHoldings(client, prefix)
      const changed = JSON.stringify(after) === JSON.stringify(before) ? [] : ['something was written']
      return [...wrongAnswers(result, 'ok'), ...changed]
    },
  }
}

/** pgbench with so many clients, on the same server. */
export function pgbench(clients: number): Builder {
  return async (bench, scope) => {
    const program = findPgbench()
    if (program === undefined)
      throw new Absent('no pgbench: it comes with the package postgresql-contrib or postgresql')
    const databaseUrl = await bench.postgres.createDatabase(scope)
    const prepared = await preparePgbench(program, databaseUrl, clients, scope, bench.signal)
    return {
      watched: { server: null, postmaster: bench.postgres.postmaster },
      measure: (seconds) => prepared.run(seconds),
    }
  }
}

function put(load: Omit<Load, 'url' | 'token'>, { url, token }: HttpServer, { signal }: Bench): Promise<LoadResult> {
  return runWrk({ ...load, url, token }, signal)
}

/** A new set of names for each round, of one length. */
function newPrefixes(): () => string {
  let round = 0
  return () => `edge-r${String(round++).padStart(2, '0')}-`
}

function effortOf({ requests, seconds, p50, p99 }: LoadResult): Effort {
  return { requests, rate: requests / seconds, p50, p99 }
}

function wrongAnswers(result: LoadResult, expected: 'created' | 'ok'): string[] {
  const { other, firstOther, socketErrors } = result
  const unexpected = result[expected === 'created' ? 'ok' : 'created']
  return [
    ...(other === 0 ? [] : [`${other} answers were neither 200 nor 201, the first a ${firstOther}`]),
    ...(unexpected === 0
      ? []
      : [`${unexpected} answers were ${expected === 'created' ? '200, not 201' : '201, not 200'}`]),
    ...(socketErrors === 0 ? [] : [`${socketErrors} requests failed on the way`]),
  ]
}
