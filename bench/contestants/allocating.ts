import { checkSums, countHoldings } from '../fleet.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { ENDLESS, effortOf, newPrefixes, type Order, wrongAnswers } from './load.js'
import type { Place, Work } from './service.js'

/** New names get addresses. */
export const allocating: Work = async (place) => inRounds(place, { kind: 'allocate' })

/** The same, a thousand in a request. */
export const allocatingBatches: Work = async (place) => inRounds(place, { kind: 'batch' }, 1_000)

/** New names, where each request names a pool: one of so many. */
export function allocatingIn(pools: number): Work {
  return async (place) => {
    for (let pool = 0; pool < pools; pool++) await makePool(place, pool)
    const { measure, verify } = inRounds(place, { kind: 'allocateIn', pools })
    return {
      measure,
      verify: async () => [...(await verify()), ...(await checkSpread(place, pools))],
    }
  }
}

async function makePool({ servers: [{ url, token }] }: Place, number: number): Promise<void> {
  const answer = await fetch(`${url}/v1/pools`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    // As large as the pool of the others, which ends before.
    body: JSON.stringify({ name: `pool-${number}`, cidr: `${11 + number}.0.0.0/8` }),
  })
  if (answer.status !== 201) throw new Error(`pool-${number} could not be made: ${await answer.text()}`)
}

/** The order in rounds, each with new names, of which a request has so many. */
function inRounds({ databaseUrl, load }: Place, order: Pick<Order, 'kind' | 'pools'>, names = 1) {
  const prefixes = newPrefixes()
  let prefix = ''
  let result: LoadResult
  return {
    measure: async (seconds: number) => {
      prefix = prefixes()
      result = await load({ ...order, seconds, prefix, count: ENDLESS })
      return effortOf(result)
    },
    verify: () => checkAllocated(databaseUrl, prefix, result, names),
  }
}

/** Requests name the pools in turns, so each has given its share. */
function checkSpread({ databaseUrl }: Place, pools: number): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ held: number }>(`select held::integer from pools where name like 'pool-%'`)
    const held = rows.map((row) => row.held)
    const even = held.length === pools && Math.min(...held) > 0.8 * Math.max(...held)
    return even ? [] : [`the pools gave ${held.join(', ')} addresses`]
  })
}

/** What was answered is what the database holds: each name once, each address once, an audit row for each. */
function checkAllocated(databaseUrl: string, prefix: string, result: LoadResult, names: number): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const held = await countHoldings(client, prefix)
    const answered = (result.created + result.ok) * names
    return [
      ...wrongAnswers(result, names === 1 ? 'created' : 'ok'),
      ...(held.rows >= answered
        ? []
        : [`${answered} names were given addresses, and there are only ${held.rows} rows`]),
      ...(held.rows <= result.sent * names ? [] : [`${held.rows} rows for ${result.sent * names} names`]),
      ...(held.addresses === held.rows && held.names === held.rows
        ? []
        : [`${held.rows} rows with ${held.addresses} addresses and ${held.names} names`]),
      ...(held.audited_created === held.rows ? [] : [`${held.rows} rows, ${held.audited_created} audit rows`]),
      ...(await checkSums(client)),
    ]
  })
}
