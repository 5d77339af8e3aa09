import { countHoldings, makeFleet } from '../fleet.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { effortOf, newPrefixes, type Order, wrongAnswers } from './load.js'
import type { Work } from './service.js'

const FLEET = 20_000
const QUICK_FLEET = 5_000

/** Questions about a fleet that stays as it is: nothing may change, and nothing be written. */
export function asking(kind: Order['kind'], { registered = false } = {}): Work {
  return async ({ bench, databaseUrl, load }) => {
    const fleet = bench.quick ? QUICK_FLEET : FLEET
    const prefix = newPrefixes()()
    const count = () => withClient(databaseUrl, (client) => countHoldings(client, prefix))
    await withClient(databaseUrl, async (client) => {
      await makeFleet(client, { prefix, count: fleet, registered })
      await client.query('analyze')
    })
    const before = await count()
    let result: LoadResult
    return {
      measure: async (seconds) => {
        result = await load({ kind, seconds, prefix, count: fleet })
        return effortOf(result)
      },
      verify: async () => {
        const changed = JSON.stringify(await count()) === JSON.stringify(before) ? [] : ['something was written']
        return [...wrongAnswers(result, 'ok'), ...changed]
      },
    }
  }
}
