import { checkSums, countHoldings } from '../fleet.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { ENDLESS, effortOf, newPrefixes, wrongAnswers } from './load.js'
import type { Work } from './service.js'

/** New names get addresses. */
export const allocating: Work = async ({ databaseUrl, load }) => {
  const prefixes = newPrefixes()
  let prefix = ''
  let result: LoadResult
  return {
    measure: async (seconds) => {
      prefix = prefixes()
      result = await load({ kind: 'allocate', seconds, prefix, count: ENDLESS })
      return effortOf(result)
    },
    verify: () => checkAllocated(databaseUrl, prefix, result),
  }
}

/** What was answered is what the database holds: each name once, each address once, an audit row for each. */
function checkAllocated(databaseUrl: string, prefix: string, result: LoadResult): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const held = await countHoldings(client, prefix)
    return [
      ...wrongAnswers(result, 'created'),
      ...(held.rows >= result.created ? [] : [`${result.created} answers of 201, and only ${held.rows} rows`]),
      ...(held.rows <= result.sent ? [] : [`${held.rows} rows for ${result.sent} requests`]),
      ...(held.addresses === held.rows && held.names === held.rows
        ? []
        : [`${held.rows} rows with ${held.addresses} addresses and ${held.names} names`]),
      ...(held.audited_created === held.rows ? [] : [`${held.rows} rows, ${held.audited_created} audit rows`]),
      ...(await checkSums(client)),
    ]
  })
}
