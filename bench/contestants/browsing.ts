import { crowd } from '../databases.js'
import { writeLines } from '../load/lines.js'
import type { LoadResult } from '../load/wrk.js'
import { withClient } from '../servers/postgres.js'
import { effortOf, wrongAnswers } from './load.js'
import type { Place, Work } from './service.js'

interface Answer {
  items: { name: string; internalIp: string }[]
  nextCursor: string | null
}

/** What a console asks for: paths, and what is wrong with an answer to one of them. */
interface Browsing {
  paths(place: Place): Promise<string[]>
  complain(path: string, answer: Answer): string[]
}

const LIST = '/northbound/v1/nodes'

/** Fifty pages of a hundred, which a console would turn one after the other. */
export const pages: Browsing = {
  paths: async (place) => {
    const paths = [`${LIST}?limit=100`]
    while (paths.length < 50) {
      const { nextCursor } = await ask(place, paths.at(-1)!)
      if (nextCursor === null) throw new Error(`the list of nodes has ${paths.length} pages only`)
      paths.push(`${LIST}?limit=100&cursor=${encodeURIComponent(nextCursor)}`)
    }
    return paths
  },
  complain: (path, { items }) => (items.length === 100 ? [] : [`${path} has ${items.length} nodes`]),
}

/** The nodes of one display IP: by the filter that means it whole, or by the search that finds parts. */
export function nodesAt(parameter: 'displayIp' | 'search'): Browsing {
  return {
    paths: ({ databaseUrl }) =>
      withClient(databaseUrl, async (client) => {
        const { rows } = await client.query<{ display_ip: string }>(
          'select display_ip from nodes where name like $1 order by random() limit 2000',
          [`${crowd.prefix}%`],
        )
        return rows.map((row) => `${LIST}?limit=${crowd.nodesPerDisplayIp}&${parameter}=${row.display_ip}`)
      }),
    complain: (path, { items }) => {
      const found = items.filter(({ internalIp }) => internalIp.includes(path.split('=').at(-1)!))
      return items.length === crowd.nodesPerDisplayIp && found.length === crowd.nodesPerDisplayIp
        ? []
        : [`${path} has ${items.length} nodes, not ${crowd.nodesPerDisplayIp}`]
    },
  }
}

/** Nothing may change meanwhile. */
export function browsing({ paths, complain }: Browsing): Work {
  return async (place) => {
    const { databaseUrl, scope, load } = place
    const list = await paths(place)
    const file = writeLines(list, scope)
    const written = () =>
      withClient(databaseUrl, async (client) => (await client.query('select count(*) from audit')).rows[0].count)
    const before = await written()
    let result: LoadResult
    return {
      measure: async (seconds) => {
        result = await load({ kind: 'get', seconds, prefix: '', count: list.length, lines: file })
        return effortOf(result)
      },
      verify: async () => {
        const sample = list.filter((_, index) => index % Math.ceil(list.length / 10) === 0)
        const complaints: string[] = []
        for (const path of sample) complaints.push(...complain(path, await ask(place, path)))
        return [
          ...wrongAnswers(result, 'ok'),
          ...complaints,
          ...((await written()) === before ? [] : ['something was written']),
        ]
      },
    }
  }
}

async function ask({ servers: [{ url, token }] }: Place, path: string): Promise<Answer> {
  const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as Answer
}
