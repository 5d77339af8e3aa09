import { setPoolTo } from '../fleet.js'
import { withClient } from '../servers/postgres.js'
import { allocating } from './allocating.js'
import type { Work } from './service.js'

// How a pool can be measured that is as good as full: 0.1 % of 2^20 addresses are gone after some milliseconds. To
// release as fast as is allocated would measure both, and hide half of what fullness costs. So a round takes a second
// only, and before each as many addresses are made free as it will need and little more, at random places of the pool: it
// ends with a few tenths of a percent. What fullness costs is there from the first request to the last: single addresses
// between long runs of taken ones, none of them beside the one before, in indexes of a million rows. The empty pool is
// emptied before each of its rounds by the same statements.

/** New names get addresses of a pool that is nearly full, or of one that is empty. */
export function refilled(at: 'full' | 'empty'): Work {
  return async (place) => {
    const { measure, verify } = await allocating(place)
    const { bench, databaseUrl } = place
    /** In a second; after the warm-up, which is slow, a guess. */
    let best = bench.quick ? 10_000 : 20_000
    let round = 0
    return {
      prepare: async (seconds) => {
        const free = at === 'empty' ? Number.MAX_SAFE_INTEGER : Math.ceil(best * seconds * SPARE)
        await withClient(databaseUrl, async (client) => {
          // Before, not after: PostgreSQL would remember that the empty pool's table had no rows, and plan accordingly.
          await client.query('vacuum analyze')
          const { used, capacity } = await setPoolTo(client, { free, prefix: `more-${round}-` })
          if (at === 'full') bench.progress(`    ${((used / capacity) * 100).toFixed(1)} % of the addresses are in use`)
        })
      },
      measure: async (seconds) => {
        const effort = await measure(seconds)
        best = round++ === 0 ? effort.rate * 3 : Math.max(best, effort.rate)
        return effort
      },
      verify,
    }
  }
}

/** So much faster than the fastest one so far may a round be. One that takes more is refused addresses, and fails the run. */
const SPARE = 2
