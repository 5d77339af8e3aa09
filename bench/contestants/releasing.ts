import { countHoldings, makeFleet } from '../fleet.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { effortOf, newPrefixes, wrongAnswers } from './load.js'
import type { Work } from './service.js'

/** Nodes give their addresses back. */
export const releasing: Work = async ({ databaseUrl, load }) => {
  const prefixes = newPrefixes()
  let prefix = ''
  let count = 0
  let best = 5_000
  let result: LoadResult
  return {
    prepare: async (seconds) => {
      prefix = prefixes()
      // Each is released once, so there have to be more than the round can send.
      count = Math.ceil(best * seconds * 2)
      await withClient(databaseUrl, (client) => makeFleet(client, { prefix, count }))
    },
    measure: async (seconds) => {
      result = await load({ kind: 'release', seconds, prefix, count })
      const effort = effortOf(result)
      best = Math.max(best, effort.rate)
      return effort
    },
    verify: async () => {
      const held = await withClient(databaseUrl, (client) => countHoldings(client, prefix))
      return [
        ...wrongAnswers(result, 'ok'),
        ...(result.sent <= count ? [] : [`${count} nodes were prepared, and ${result.sent} releases sent`]),
        ...(held.rows === count ? [] : [`${count} nodes were prepared, and ${held.rows} have a row`]),
        ...(held.quarantined >= result.ok && held.quarantined <= result.sent
          ? []
          : [`${result.ok} releases answered, ${held.quarantined} addresses quarantined`]),
        ...(held.audited_released === held.quarantined
          ? []
          : [`${held.quarantined} addresses quarantined, ${held.audited_released} audit rows`]),
      ]
    },
  }
}
