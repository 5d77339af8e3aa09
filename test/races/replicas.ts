import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { type Answered, lostAnswers, violations, wrongNumbers } from '../support/invariants.js'
import { Load } from '../support/load.js'
import { createDatabase } from '../support/postgres.js'
import { redisKind, startRedis, type TestRedis } from '../support/redis.js'
import { type Service, startService } from '../support/service.js'

/** Sizes: the default is quick on two busy cores, `EDGE_IPAM_TEST_LOAD=10` is ten times as long. */
export const LOAD = Number(process.env.EDGE_IPAM_TEST_LOAD ?? 1)
export const CONNECTIONS = Number(process.env.EDGE_IPAM_TEST_CONNECTIONS ?? 64)

/** Why a race on this machine would prove little; false where it proves something. */
export const needsRealRedis =
  redisKind() === 'server' ? false : 'the Valkey of npm is too slow for a race: install redis-server or valkey-server'

/** Several service processes on one database, and perhaps one Redis, with a client that talks to all of them. */
export interface Replicas {
  services: Service[]
  redis: TestRedis | undefined
  load: Load
  databaseUrl: string
  /** Fails the test unless all that must hold does hold, and nothing answered was lost. */
  sound(what: string): Promise<void>
}

export async function startReplicas(
  t: Test,
  { count = 3, redis = true, attemptMs = 15_000 }: { count?: number; redis?: boolean; attemptMs?: number } = {},
): Promise<Replicas> {
  const databaseUrl = await createDatabase(t)
  const adminToken = randomBytes(24).toString('base64url')
  const server = redis ? await startRedis(t) : undefined
  const env = {
    EDGE_IPAM_DATABASE_CONNECTIONS: '6',
    LOG_LEVEL: 'warn',
    ...(server && { REDIS_URL: server.url }),
  }
  // All at once on an empty database, as a deployment does it.
  const services = await Promise.all(
    Array.from({ length: count }, (_, number) =>
      startService(t, { databaseUrl: named(databaseUrl, `replica-${number}`), adminToken, env }),
    ),
  )
  const load = new Load({
    targets: services.map(({ url }) => url),
    token: adminToken,
    connections: CONNECTIONS,
    attemptMs,
  })
  t.teardown(() => load.close())
  const sound = async (what: string) => {
    t.same(await violations(databaseUrl), [], `${what}: the database holds what it must`)
    t.same(await lostAnswers(databaseUrl, unique(load.answered)), [], `${what}: no answered allocation is lost`)
    t.same(load.improper, [], `${what}: no 5xx but 503, with Retry-After`)
    for (const service of services) {
      const pools = await service.call('GET', '/v1/pools')
      t.same(await wrongNumbers(databaseUrl, pools.body.items), [], `${what}: the numbers of the API are the truth`)
    }
  }
  return { services, redis: server, load, databaseUrl, sound }
}

/** The URL under which PostgreSQL calls a connection by this name. */
function named(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('application_name', name)
  return url.href
}

function unique(answered: readonly Answered[]): Answered[] {
  return [...new Map(answered.map((one) => [`${one.name} ${one.sequence}`, one])).values()]
}
