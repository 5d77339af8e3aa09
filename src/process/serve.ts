import { readFileSync } from 'node:fs'
import type { FastifyBaseLogger } from 'fastify'
import type { Kysely } from 'kysely'
import { pino } from 'pino'
import pretty from 'pino-pretty'
import { Connection } from '../cluster/connection.js'
import { reviewToken } from '../cluster/token-review.js'
import type { Config } from '../config/config.js'
import { Authenticator } from '../domain/authenticator.js'
import { startEngine } from '../domain/context.js'
import { HostsPublisher } from '../domain/hosts.js'
import { KnownNodes } from '../domain/known-nodes.js'
import { makeFirstPool } from '../domain/pools.js'
import { sweep } from '../domain/reclaim.js'
import { ServiceAccounts } from '../domain/service-accounts.js'
import { settleAdminToken } from '../domain/tokens.js'
import type { DataDir } from '../embedded/data-dir.js'
import { Admission } from '../http/admission.js'
import { FailureLimit } from '../http/failure-limit.js'
import { createMetrics } from '../integrations/metrics.js'
import { createLock } from '../lock/allocation-lock.js'
import { isCurrent } from '../store/migrate.js'
import type { Database, TokenRole } from '../store/schema.js'
import { workForCluster } from './cluster-work.js'
import { type Listeners, openListeners } from './listeners.js'
import { openStore } from './open-store.js'
import { readdressing, removingJobs } from './readdressing.js'
import { StartError } from './start-error.js'
import { type Stop, stopAll } from './stop.js'
import { Troubles } from './troubles.js'

const SWEEP_EVERY = 30_000
/** Bytes. A busy process writes its log in blocks, a quiet one every 50 ms. */
const LOG_BLOCK = 32 * 1024

export interface Running {
  urls: Listeners['urls']
  dataDir: DataDir | undefined
  adminTokenFile: string | undefined
  stop: Stop
}

/** Starts the service and comes back when it is ready. Nothing is left running when it throws. */
export async function serve(
  config: Config,
  progress: (line: string) => void,
  log: FastifyBaseLogger,
  signal: AbortSignal,
): Promise<Running> {
  const stops: Stop[] = []
  const stop = () => stopAll(stops)
  try {
    const onBreak = (error: Error) => log.warn({ cause: error.message }, 'a database connection broke')
    const store = await openStore(config, progress, onBreak, signal)
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
    const admission = new Admission(log)
    const cluster = await openCluster(config, log)
    const metrics = createMetrics({
      db,
      lock: lock.stats,
      admission: admission.stats,
      listensForReviews: config.webhookPort !== undefined,
      hasCluster: cluster !== undefined,
      version: version(),
    })
    const accounts =
      cluster &&
      new ServiceAccounts(
        (token) => reviewToken(cluster, token),
        config.serviceAccounts as ReadonlyMap<string, TokenRole>,
        new Troubles(log),
      )
    const services = {
      db,
      engine: startEngine(db, lock, metrics.observer),
      authenticator: new Authenticator(db, onError, accounts),
      failures: new FailureLimit(),
      cluster,
    }
    const known = new KnownNodes(db, (error) =>
      log.warn({ cause: error.message }, 'what has changed is not known; asking again'),
    )
    stops.push(() => known.close())
    const hook = {
      policy: { mode: config.hook, unknownNodes: config.unknownNodes, edgeLabel: config.edgeLabel },
      known,
    }
    const { hostsSuffix, hostsConfigMap } = config
    if (cluster) {
      const rules = {
        edgeLabel: config.edgeLabel,
        lookEvery: config.lookEvery * 1_000,
        patience: config.neverJoined * 1_000,
        reclaim: config.reclaim,
        grace: config.reclaimGrace * 1_000,
        share: config.reclaimShare / 100,
        rewrites: config.hook === 'rewrite',
      }
      const names =
        hostsConfigMap && new HostsPublisher(db, cluster, { configMap: hostsConfigMap, suffix: hostsSuffix })
      const tasks = [
        removingJobs(db, cluster),
        readdressing(db, cluster, log),
        ...(names ? [{ name: "keeping nodes' names in a ConfigMap", run: () => names.publish() }] : []),
      ]
      stops.push(workForCluster({ ...services, cluster, dryRun: false }, rules, tasks, log))
    }
    const reclaim = { grace: config.reclaimGrace * 1_000, neverJoinedAfter: config.neverJoined }
    const options = { reclaim, hostsSuffix, services, metrics, admission, hook, isReady: () => isCurrent(db), log }
    const { urls, close } = await openListeners(config, options, log)
    stops.push(close)
    dataDir?.announce({ url: urls.main })
    return { urls, dataDir, adminTokenFile: generated ? dataDir.adminTokenFile : undefined, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The way to the cluster, where there is one. */
async function openCluster({ kubernetes }: Config, log: FastifyBaseLogger): Promise<Connection | undefined> {
  if (kubernetes === 'off') return undefined
  const onTrouble = (error: Error) =>
    log.warn({ cause: error.message }, 'the kubeconfig cannot be read; the last one that could is used')
  return Connection.open(kubernetes, onTrouble).catch((error: Error) => {
    throw new StartError(`EDGE_IPAM_KUBERNETES: ${error.message}`, 2)
  })
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

let moment = { ms: 0, text: '' }

/** The time as pino writes it; a busy process has many lines within a millisecond. */
function timestamp(): string {
  const ms = Date.now()
  if (ms !== moment.ms) moment = { ms, text: `,"time":"${new Date(ms).toISOString()}"` }
  return moment.text
}

/** JSON lines; for people who watch a terminal, something to read. */
export function createLogger(level: string, terminal: boolean): FastifyBaseLogger {
  if (!terminal) {
    // Gathered, and written beside the work: a write of its own for each line would hold up every request. As bytes: of
    // text, all that has gathered is counted anew with each line, which takes longer than to make the line.
    const destination = pino.destination({
      dest: 1,
      sync: false,
      contentMode: 'buffer',
      minLength: LOG_BLOCK,
      maxWrite: 2 * LOG_BLOCK,
      periodicFlush: 50,
    })
    return pino({ level, base: null, timestamp }, { write: (line) => destination.write(Buffer.from(line) as never) })
  }
  return pino({ level, base: null }, pretty({ colorize: true, translateTime: 'HH:MM:ss', sync: true }))
}

export function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
