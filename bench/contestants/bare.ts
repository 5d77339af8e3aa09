import type { Builder } from '../contest.js'
import { writePaths } from '../load/paths.js'
import type { LoadResult } from '../load/wrk.js'
import { startBareServer } from '../servers/http.js'
import { ENDLESS, effortOf, type Order, put, sumOf, wrongAnswers } from './load.js'

/** The load that `kind` puts on the bare server; `path` is what `get` gets. */
export function bare(kind: Order['kind'], connections: number, path?: string): Builder {
  return async (bench, scope) => {
    const server = await startBareServer(scope)
    const order = {
      kind,
      connections,
      prefix: 'edge-r00-',
      count: ENDLESS,
      ...(path && { paths: writePaths([path], scope) }),
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
