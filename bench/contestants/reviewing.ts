import { readFileSync } from 'node:fs'
import { makeFleet } from '../fleet.js'
import { writeLines } from '../load/lines.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { effortOf, newPrefixes, wrongAnswers } from './load.js'
import type { Place, Work } from './service.js'

const FLEET = 5_000

/** The largest of the recorded reviews of a status that an edge node writes. */
const recorded = readFileSync(
  new URL('../../test/hook/recordings/admission.registration.jsonl', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .map((line) => JSON.stringify(JSON.parse(line).review))
  .reduce((one, other) => (other.length > one.length ? other : one))

/** The recorded review as it would be of another node, which reports this address. */
export function reviewOf(name: string, address: string): string {
  const review = JSON.parse(recorded.replaceAll(/\bedge[12]\b/g, name).replaceAll('192.168.1.10', address))
  review.request.object.metadata.uid = name
  review.request.oldObject.metadata.uid = name
  return JSON.stringify(review)
}

/** Nodes that joined with their unique IPs write their status again and again: nothing may change, and nothing be written. */
export const reviewing: Work = async (place) => {
  const { databaseUrl, scope, load } = place
  const prefix = newPrefixes()()
  const { rows: nodes } = await withClient(databaseUrl, async (client) => {
    await makeFleet(client, { prefix, count: FLEET, registered: true })
    return client.query<{ name: string; address: string }>(
      'select node_name as name, host(address) as address from allocations',
    )
  })
  const lines = writeLines(
    nodes.map(({ name, address }) => reviewOf(name, address)),
    scope,
  )
  const audited = () =>
    withClient(databaseUrl, async (client) => (await client.query('select count(*) from audit')).rows[0].count)
  const before = await audited()
  let result: LoadResult
  return {
    measure: async (seconds) => {
      result = await load({ kind: 'review', seconds, prefix, count: FLEET, lines })
      return effortOf(result)
    },
    verify: async () => {
      const outcomes = await outcomesOf(place)
      return [
        ...wrongAnswers(result, 'ok'),
        ...(outcomes.every((one) => one === 'own') ? [] : [`reviews came to ${outcomes.join(', ')}`]),
        ...((await audited()) === before ? [] : ['something was written']),
      ]
    },
  }
}

/** What became of reviews so far. */
async function outcomesOf({ servers: [{ mainUrl, token }] }: Place): Promise<string[]> {
  const answer = await fetch(`${mainUrl}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  const found = (await answer.text()).matchAll(/^edge_ipam_hook_reviews_total\{outcome="(\w+)"\}/gm)
  return [...found].map(([, outcome]) => outcome!)
}
