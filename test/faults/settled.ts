import pg from 'pg'
import type { Service } from '../support/service.js'
import type { Life } from './life.js'
import type { Diary } from './living.js'
import { fits } from './step.js'
import { nodeOf } from './verbs/nodes.js'
import { poolOf } from './verbs/pools.js'
import { tokenOf } from './verbs/tokens.js'

// What is compared when all is quiet: what the lives know, what the service has, what the audit trail tells.

/** A row of the audit trail that a request left. */
export interface Left {
  requestId: string
  action: string
}

/** What requests have left in the audit trail, in its order. */
export async function requestTrail(url: string): Promise<Left[]> {
  const db = new pg.Client({ connectionString: url })
  await db.connect()
  try {
    const text = `select request_id as "requestId", action from audit where request_id is not null order by id`
    return (await db.query<Left>(text)).rows
  } finally {
    await db.end()
  }
}

/**
 * Lives with a change that was done late: an attempt that had no answer was done after a later request had been
 * answered. That is nobody's fault (who gives up waiting cannot call back what was sent), it harms nobody else, and
 * what is left of it is no longer what the life knows. Only requests that were made again may be late.
 */
export function lateLives({ asked }: Diary, left: readonly Left[]): { late: Set<Life>; wrong: string[] } {
  const late = new Set<Life>()
  const wrong: string[] = []
  const latest = new Map<Life, number>()
  for (const { requestId, action } of left) {
    const request = asked.get(requestId)
    if (!request) continue
    const number = Number(requestId.slice(requestId.lastIndexOf('-') + 1))
    if (number < (latest.get(request.life) ?? 0)) {
      late.add(request.life)
      if (!request.repeated) wrong.push(`${requestId} was answered, and then there was ${action}`)
    }
    latest.set(request.life, Math.max(number, latest.get(request.life) ?? 0))
  }
  return { late, wrong }
}

/** Requests that left other audit rows than their changes. */
export function wrongTraces({ asked }: Diary, left: readonly Left[], late: ReadonlySet<Life>): string[] {
  const traces = new Map<string, string[]>()
  for (const { requestId, action } of left) {
    // Written by whoever first meets an address that has rested, the sweep or a pool's end: no request owes it.
    if (action !== 'allocation.freed') traces.set(requestId, [...(traces.get(requestId) ?? []), action])
  }
  const wrong: string[] = []
  for (const [id, { life, leaves, leavesEachTime, repeated }] of asked) {
    if (late.has(life)) continue
    const mayRepeat = leavesEachTime && repeated
    const is = told(traces.get(id) ?? [], mayRepeat)
    const should = told(leaves, mayRepeat)
    if (is !== should) wrong.push(`${id} left [${is}], should have left [${should}]`)
  }
  return wrong
}

function told(actions: readonly string[], once: boolean): string {
  return (once ? [...new Set(actions)] : [...actions]).sort().join(' ')
}

/** What the API has other than the lives know it; those of `except` know nothing. */
export async function forgotten(service: Service, { lives }: Diary, except: ReadonlySet<Life>): Promise<string[]> {
  const [nodes, pools, tokens] = [
    await all(service, '/v1/nodes', 'nodeName'),
    await all(service, '/v1/pools', 'name'),
    await all(service, '/v1/tokens', 'id'),
  ]
  const wrong: string[] = []
  const expect = (what: string, is: unknown, should: object | null) => {
    if (should === null ? is !== undefined : !fits(is, should)) {
      wrong.push(`${what} is ${JSON.stringify(is)}, should be ${JSON.stringify(should)}`)
    }
  }
  for (const life of lives) {
    if (except.has(life)) continue
    const { pool, token } = life
    for (const node of life.nodes) expect(node.name, nodes.get(node.name), node.known ? nodeOf(node) : null)
    if (pool) expect(pool.name, pools.get(pool.name), pool.settings ? poolOf(pool, life.nodes) : null)
    if (token) expect(`token ${token.id}`, tokens.get(token.id), token.deletedAt === null ? tokenOf(life, token) : null)
  }
  return wrong
}

/** Every item of a list, by its key. */
async function all(service: Service, path: string, key: string): Promise<Map<string, object>> {
  const found = new Map<string, object>()
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body, text } = await service.call('GET', `${path}?limit=1000${cursor && `&cursor=${cursor}`}`)
    if (!Array.isArray(body?.items)) throw new Error(`${path}: ${text}`)
    for (const item of body.items) found.set(item[key], item)
    cursor = body.nextCursor
  }
  return found
}
