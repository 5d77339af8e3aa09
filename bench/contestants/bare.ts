import type { Builder } from '../contest.js'
import { writeLines } from '../load/lines.js'
import type { LoadResult } from '../load/wrk.js'
import { startBareServer } from '../servers/http.js'
import { ENDLESS, effortOf, type Order, put, sumOf, wrongAnswers } from './load.js'

/** The load that `kind` puts on the bare server; `lines` are the paths or the bodies, for the kinds that read them. */
export function bare(kind: Order['kind'], connections: number, lines?: readonly string[]): Builder {
  return async (bench, scope) => {
    const server = await startBareServer(scope, { hook: kind === 'review' })
    const order = {
      kind,
      connections,
      prefix: 'edge-r00-',
      count: ENDLESS,
      ...(lines && { lines: writeLines(lines, scope) }),
    }
    let result: LoadResult
    return {
      watched: { servers: [server.pid], postmaster: bench.postgres.postmaster },
      measure: async (seconds) => {
        result = sumOf(await put({ ...order, seconds }, [server], bench))
        return effortOf(result)
      },
      verify: async () => wrongAnswers(result, kind === 'allocate' ? 'created' : 'ok'),
    }
  }
}
