import { type Load, type LoadResult, runWrk } from '../load/wrk.js'
import type { Bench } from '../measurement.js'
import type { HttpServer } from '../servers/http.js'
import type { Effort } from '../turns.js'

/** More names than any round can send. */
export const ENDLESS = 50_000_000

/** A load, whoever is asked. */
export type Order = Omit<Load, 'url' | 'token'>

/** Puts the load on the servers, in equal shares: each has a generator of its own, with connections and names of its own. */
export async function put(order: Order, servers: readonly HttpServer[], { signal }: Bench): Promise<LoadResult[]> {
  const share = {
    ...order,
    connections: Math.floor(order.connections / servers.length),
    count: Math.floor(order.count / servers.length),
  }
  return Promise.all(
    servers.map(({ url, token }, index) =>
      runWrk({ ...share, first: (order.first ?? 0) + index * share.count, url, token }, signal),
    ),
  )
}

export function sumOf(results: readonly LoadResult[]): LoadResult {
  return results.reduce((sum, one) => ({
    seconds: Math.max(sum.seconds, one.seconds),
    requests: sum.requests + one.requests,
    sent: sum.sent + one.sent,
    created: sum.created + one.created,
    ok: sum.ok + one.ok,
    other: sum.other + one.other,
    firstOther: sum.firstOther || one.firstOther,
    socketErrors: sum.socketErrors + one.socketErrors,
    // Percentiles cannot be added; the worst of them flatters nobody.
    p50: Math.max(sum.p50, one.p50),
    p99: Math.max(sum.p99, one.p99),
  }))
}

export function effortOf({ requests, seconds, p50, p99 }: LoadResult): Effort {
  return { requests, rate: requests / seconds, p50, p99 }
}

export function wrongAnswers(result: LoadResult, expected: 'created' | 'ok'): string[] {
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

/** A new set of names for each round, of one length. */
export function newPrefixes(): () => string {
  let round = 0
  return () => `edge-r${String(round++).padStart(2, '0')}-`
}
