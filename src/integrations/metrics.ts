import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { findingKinds } from '../core/finding.js'
import type { Observer } from '../domain/context.js'
import { countOpenFindings } from '../domain/findings.js'
import { allPools } from '../domain/pools.js'
import type { Admission } from '../http/admission.js'
import { countRequests } from '../http/request-counts.js'
import type { LockStats } from '../lock/lease.js'
import { connectionsOf, type Executor } from '../store/database.js'
import { lastLook } from '../store/findings.js'

export interface Metrics {
  registry: Registry
  observer: Observer
  /** Counts a request that was answered. */
  request: (request: FastifyRequest, reply: FastifyReply) => void
  /** Counts a review for the admission hook. */
  review: (outcome: string) => void
}

/** What the app needs of them. */
export type RequestMetrics = Pick<Metrics, 'registry' | 'request' | 'review'>

/**
 * What is counted, in Prometheus' ways. Labels are routes, codes and pools: few, and never an address or a node.
 * @param sources.lock the lock's plain counters, read at each scrape, as those of the admission are
 * @param sources.listensForReviews the hook has a listener, so that reviews are missed where none comes
 * @param sources.hasCluster so that looks at it are missed
 */
export function createMetrics(sources: {
  db: Executor
  lock: Readonly<LockStats>
  admission: Readonly<Admission['stats']>
  listensForReviews: boolean
  hasCluster: boolean
  version: string
}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'edge_ipam_build_info',
    help: 'Always 1; the labels tell the version.',
    labelNames: ['version', 'node_version'],
    registers,
  }).set({ version: sources.version, node_version: process.version }, 1)
  const outcomes = new Counter({
    name: 'edge_ipam_allocations_total',
    help: 'Requests for an address, by result: created, existing, or the code of the refusal.',
    labelNames: ['result'],
    registers,
  })
  const sizes = new Histogram({
    name: 'edge_ipam_allocation_batch_size',
    help: 'Requests that one round trip to the database served.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  })
  const drift = new Counter({
    name: 'edge_ipam_drift_reports_total',
    help: 'Registrations that reported another IP than the unique one.',
    registers,
  })
  // Every status of every node is a review, so they are counted as requests are: as numbers, until somebody asks.
  const reviews = new Map<string, number>()
  new Counter({
    name: 'edge_ipam_hook_reviews_total',
    help: 'Reviews for the admission hook by what became of them; late, failed and unreadable ones passed unseen, unanswered and overload are errors.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      for (const [outcome, count] of reviews) this.inc({ outcome }, count)
    },
  })
  let lastReview = sources.listensForReviews ? 0 : undefined
  new Gauge({
    name: 'edge_ipam_hook_last_review_timestamp_seconds',
    help: 'When this replica last answered a review of the admission hook, since 1970; 0 where its listener has had none.',
    registers,
    collect() {
      if (lastReview === undefined) this.remove()
      else this.set(lastReview / 1_000)
    },
  })
  new Gauge({
    name: 'edge_ipam_cluster_last_look_timestamp_seconds',
    help: 'When a replica last looked at the cluster, since 1970; 0 for never. The same on every replica that has a cluster.',
    registers,
    async collect() {
      // Without the database nobody knows, which is not the same as never.
      const at = sources.hasCluster ? await lastLook(sources.db).catch(() => null) : null
      if (at === null) this.remove()
      else this.set((at?.getTime() ?? 0) / 1_000)
    },
  })
  countLock(sources.lock, registers)
  countAdmission(sources.admission, registers)
  new Gauge({
    name: 'edge_ipam_database_connections',
    help: 'Connections to the database: all, those that do nothing, and statements that wait for one.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(connectionsOf(sources.db))) this.set({ state }, count)
    },
  })
  new Gauge({
    name: 'edge_ipam_pool_addresses',
    help: 'Addresses of a pool by state; they add up to its capacity.',
    labelNames: ['pool', 'state'],
    registers,
    async collect() {
      this.reset()
      // Without the database there are no pools to tell of; all the rest is wanted then most of all.
      for (const { name, utilization } of await allPools(sources.db).catch(() => [])) {
        const { capacity: _, ...states } = utilization
        for (const [state, count] of Object.entries(states)) this.set({ pool: name, state }, Number(count))
      }
    },
  })
  new Gauge({
    name: 'edge_ipam_findings',
    help: 'What does not fit together in the cluster now, by kind; the same on every replica.',
    labelNames: ['kind'],
    registers,
    async collect() {
      // Without the database nobody knows, which is not the same as none.
      this.reset()
      const open = await countOpenFindings(sources.db).catch(() => undefined)
      if (open === undefined) return
      const counts = new Map(open.map(({ kind, count }) => [kind, count]))
      for (const kind of findingKinds) this.set({ kind }, counts.get(kind) ?? 0)
    },
  })
  return {
    registry,
    request: countRequests(registry),
    review(outcome) {
      reviews.set(outcome, (reviews.get(outcome) ?? 0) + 1)
      lastReview = Date.now()
    },
    observer: {
      batch(codes) {
        sizes.observe(codes.length)
        const counts = new Map<string, number>()
        for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1)
        for (const [result, count] of counts) outcomes.inc({ result }, count)
      },
      drift: () => drift.inc(),
    },
  }
}

function countLock(lock: Readonly<LockStats>, registers: Registry[]): void {
  const counters: [keyof LockStats, string][] = [
    ['acquired', 'Leases that were taken.'],
    ['waited', 'Batches that waited for another replica.'],
    ['lost', 'Leases that were gone before they were given back.'],
    ['skipped', 'Batches that went on without a lease.'],
  ]
  for (const [key, help] of counters) {
    new Counter({
      name: `edge_ipam_lock_${key}_total`,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(lock[key])
      },
    })
  }
}

function countAdmission(admission: Readonly<Admission['stats']>, registers: Registry[]): void {
  new Counter({
    name: 'edge_ipam_http_refused_total',
    help: 'Requests that were refused at once because more came than could be served; no other metric of requests counts them.',
    registers,
    collect() {
      this.reset()
      this.inc(admission.refused)
    },
  })
  new Gauge({
    name: 'edge_ipam_http_requests_under_way',
    help: 'Requests that were let in and have no answer yet.',
    registers,
    collect() {
      this.set(admission.underWay)
    },
  })
}

const EXPOSITION = 'edge_ipam_allocations_total{result="created"} 1200\n'

/** `GET /metrics`, and the counting of every request: so it is no plugin, whose hooks would see its own routes only. */
export function addMetrics(app: FastifyInstance, { registry, request: count }: RequestMetrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    count(request, reply)
    done()
  })
  app.get(
    '/metrics',
    {
      config: { access: ['admin', 'auditor'] },
      logLevel: 'warn',
      schema: {
        tags: ['health'],
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        querystring: { type: 'object', properties: {}, additionalProperties: false },
        response: {
          200: {
            description: "In Prometheus' text format.",
            content: { 'text/plain': { schema: { type: 'string', examples: [EXPOSITION] } } },
          },
        },
      },
    },
    async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  )
}
