import type { Builder } from '../contest.js'
import type { LoadResult } from '../load/wrk.js'
import { startBareServer } from '../servers/http.js'
import { ENDLESS, effortOf, type Order, put, wrongAnswers } from './load.js'

/** The load that `kind` puts on the bare server. */
export function bare(kind: Order['kind'], connections: number): Builder {
  return async (bench, scope) => {
    const server = await startBareServer(scope)
    let result: LoadResult
    return {
      watched: { servers: [server.pid], postmaster: bench.postgres.postmaster },
      measure: async (seconds) => {
        result = await put({ kind, connections, seconds, prefix: 'edge-r00-', count: ENDLESS }, [server], bench)
        return effortOf(result)
      },
      verify: async () => wrongAnswers(result, kind === 'allocate' ? 'created' : 'ok'),
    }
  }
}
