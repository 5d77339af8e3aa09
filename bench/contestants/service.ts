import type { Builder } from '../contest.js'
import { type Database, empty } from '../databases.js'
import type { LoadResult } from '../load/wrk.js'
import { Absent, type Bench } from '../measurement.js'
import type { Scope } from '../scope.js'
import { type HttpServer, startService } from '../servers/http.js'
import type { Contestant } from '../turns.js'
import { Scans, settle } from './database-work.js'
import { type Order, put, sumOf } from './load.js'

/** Sixteen million addresses: no run ever fills them. */
const POOL = '10.0.0.0/8'

/** What a work has to do with. */
export interface Place {
  bench: Bench
  scope: Scope
  databaseUrl: string
  servers: readonly [HttpServer, ...HttpServer[]]
  load(order: Omit<Order, 'connections'>): Promise<LoadResult>
}

/** What the service is asked to do, and how what it did is checked. */
export type Work = (place: Place) => Promise<Omit<Contestant, 'watched'>>

/** A service of its own, with a database of its own, and so many connections that ask it to do the work. */
export function service(
  work: Work,
  connections: number,
  options: {
    redis?: boolean
    /** Processes on the one database. Default: 1. */
    replicas?: number
    /** The pool of the service, where its database has none. */
    pool?: string
    /** Default: an empty one. */
    database?: Database
    /** What is asked is its admission hook. */
    hook?: boolean
  } = {},
): Builder {
  return async (bench, scope, name) => {
    if (options.redis && !bench.redis) {
      throw new Absent('no Redis: install redis-server or valkey-server, or name one with --redis')
    }
    const databaseUrl = await (options.database ?? empty)(bench, scope)
    const start = (token?: string) =>
      startService(scope, {
        program: bench.program,
        databaseUrl,
        redisUrl: options.redis ? bench.redis?.url : undefined,
        pool: options.pool ?? POOL,
        profile: bench.profile && `${bench.profile}/${name}`,
        token,
        hook: options.hook,
      })
    const servers: [HttpServer, ...HttpServer[]] = [await start()]
    while (servers.length < (options.replicas ?? 1)) servers.push(await start(servers[0].token))
    let shares: number[] = []
    const load = async (order: Omit<Order, 'connections'>) => {
      const results = await put({ ...order, connections }, servers, bench)
      shares = results.map(({ requests }) => requests)
      return sumOf(results)
    }
    const { prepare, measure, verify } = await work({ bench, scope, databaseUrl, servers, load })
    const scans = new Scans(databaseUrl)
    return {
      watched: { servers: servers.map(({ pid }) => pid), postmaster: bench.postgres.postmaster },
      prepare: async (seconds) => {
        await prepare?.(seconds)
        await scans.begin()
      },
      measure,
      verify: async () => {
        const unsettled = await settle(databaseUrl)
        // Before the work is verified, which reads whole tables.
        const scanned = await scans.end()
        return [...unsettled, ...scanned, ...starved(shares), ...((await verify?.()) ?? [])]
      },
    }
  }
}

/** Replicas have equal numbers of callers, and none may keep its own waiting for those of the others. */
function starved(shares: readonly number[]): string[] {
  return Math.min(...shares) * 2 >= Math.max(...shares) ? [] : [`the replicas answered ${shares.join(', ')} requests`]
}
