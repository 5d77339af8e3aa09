import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Metric, Registry } from 'prom-client'

/** Seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** What is counted of a route. */
interface Tally {
  labels: { method: string; route: string }
  /** By status. */
  answers: Map<number, number>
  /** How many took at most as long as the bound of the same place, and longer than the one before it; the last: longer than all. */
  times: number[]
  seconds: number
}

/**
 * Counts requests and their time. Every request comes here, and prom-client's own counters look their labels up by a
 * text that they put together each time: it was one part in twenty-five of what an allocation costs. So the sums are
 * kept by route, and become samples when they are scraped.
 */
export function countRequests(registry: Registry): (request: FastifyRequest, reply: FastifyReply) => void {
  const tallies = new Map<string, Tally>()
  // The same, by the object that a route has for itself alone.
  const ofRoutes = new WeakMap<object, Tally>()
  register(registry, 'counter', 'edge_ipam_http_requests_total', 'Requests.', (name) =>
    [...tallies.values()].flatMap(({ labels, answers }) =>
      [...answers].map(([status, value]) => ({ metricName: name, labels: { ...labels, status }, value })),
    ),
  )
  register(
    registry,
    'histogram',
    'edge_ipam_http_request_duration_seconds',
    'From the first byte of a request to the last of its answer.',
    (name) => [...tallies.values()].flatMap((tally) => samplesOf(name, tally)),
  )
  return (request, reply) => {
    const { config, url } = request.routeOptions
    let tally = ofRoutes.get(config)
    if (!tally) {
      // The pattern: URLs are without number. What has none shares one label, and so do methods that a path does not have.
      const isRoute = url !== undefined && !config.refused
      tally = tallyOf(tallies, request.method, isRoute ? url : 'none')
      if (isRoute) ofRoutes.set(config, tally)
    }
    const { statusCode } = reply
    const seconds = reply.elapsedTime / 1000
    tally.answers.set(statusCode, (tally.answers.get(statusCode) ?? 0) + 1)
    let place = 0
    while (place < BOUNDS.length && seconds > BOUNDS[place]!) place++
    tally.times[place]!++
    tally.seconds += seconds
  }
}

function tallyOf(tallies: Map<string, Tally>, method: string, route: string): Tally {
  const key = `${method} ${route}`
  const times = [...BOUNDS, Number.POSITIVE_INFINITY].map(() => 0)
  const tally = tallies.get(key) ?? { labels: { method, route }, answers: new Map(), times, seconds: 0 }
  tallies.set(key, tally)
  return tally
}

function samplesOf(name: string, { labels, times, seconds }: Tally) {
  let count = 0
  const buckets = times.map((more, place) => {
    count += more
    return { metricName: `${name}_bucket`, labels: { le: BOUNDS[place] ?? '+Inf', ...labels }, value: count }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: seconds },
    { metricName: `${name}_count`, labels, value: count },
  ]
}

type Sample = { metricName: string; labels: object; value: number }

function register(registry: Registry, type: string, name: string, help: string, samples: (name: string) => Sample[]) {
  const metric = { name, help, type, get: async () => ({ name, help, type, values: samples(name), aggregator: 'sum' }) }
  registry.registerMetric(metric as unknown as Metric)
}
