import type { Life, Pool } from '../life.js'
import { refused, type Step, type Verb } from '../step.js'

// A life's own pool, with its reservations. Nobody gets an address there who does not ask for the pool.

const unknown = refused(404, 'pool_not_found')
const pathOf = (pool: Pool) => `/v1/pools/${pool.name}`
const addressOf = ({ base: [start, first] }: Pool, offset: number) => `${start}${first + offset}`

/** The pool as the API has it: also, how many of its addresses are in what state. */
export function poolOf(pool: Pool, nodes: Life['nodes']) {
  const capacity = pool.settings!.cidr.endsWith('/27') ? 30 : 14
  const allocated = nodes.filter(({ holds }) => holds?.pool === pool.name).length
  const reserved = pool.reservations.length * RESERVED
  const utilization = { capacity, allocated, quarantined: 0, reserved, free: capacity - allocated - reserved }
  const reservations = pool.reservations
    .toSorted((one, other) => (one.start < other.start ? -1 : 1))
    .map(({ start, end, id }) => ({ start, end, id: id ?? isText }))
  return { name: pool.name, ...pool.settings, reservations, utilization }
}

/** A verb for who has a pool, whether it exists or not. */
const withPool =
  (verb: (life: Life, pool: Pool) => Step | undefined): Verb =>
  (life) =>
    life.pool ? verb(life, life.pool) : undefined

const make = withPool(({ random, nodes }, pool) => {
  const cidr = `${addressOf(pool, 0)}/28`
  const description = random.pick([null, 'of one life'])
  const settings = { cidr, state: 'active', description }
  const reservations = random.oneIn(2) ? [] : [reservation(pool, 10)]
  const ask = {
    method: 'POST',
    path: '/v1/pools',
    // A node would need to have a label that none has to get an address here without asking for the pool.
    body: { name: pool.name, ...settings, reservations, quarantineSeconds: 0, nodeSelector: { of: pool.name } },
  }
  if (pool.settings) return { ask, verify: { answer: refused(409, 'pool_exists') } }
  const made = { ...pool, settings, reservations: reservations.map((one) => ({ ...one, id: null })) }
  return {
    ask,
    verify: {
      answer: { status: 201, body: poolOf(made, nodes) },
      again: [refused(409, 'pool_exists')],
      leaves: ['pool.created'],
    },
    remember(reply) {
      pool.settings = settings
      pool.reservations = reply.body.reservations ?? made.reservations
    },
  }
})

const change = withPool(({ random, nodes }, pool) => {
  const patch = {
    ...(random.oneIn(2) && { state: random.pick(['active', 'active', 'draining', 'disabled']) }),
    ...(random.oneIn(2) && { description: random.pick(['changed', null]) }),
    ...(random.oneIn(4) && { cidr: `${addressOf(pool, 0)}/27` }),
  }
  const ask = { method: 'PATCH', path: pathOf(pool), body: patch }
  if (!pool.settings) return { ask, verify: { answer: unknown } }
  const settings = { ...pool.settings, ...patch }
  const same = JSON.stringify(settings) === JSON.stringify(pool.settings)
  return {
    ask,
    verify: {
      answer: { status: 200, body: poolOf({ ...pool, settings }, nodes) },
      leaves: same ? [] : ['pool.updated'],
    },
    remember() {
      pool.settings = settings
    },
  }
})

const read = withPool(({ nodes }, pool) => ({
  ask: { method: 'GET', path: pathOf(pool) },
  verify: { answer: pool.settings ? { status: 200, body: poolOf(pool, nodes) } : unknown },
  remember(reply) {
    if (pool.settings) pool.reservations = reply.body.reservations
  },
}))

const remove = withPool(({ nodes }, pool) => {
  const ask = { method: 'DELETE', path: pathOf(pool) }
  if (!pool.settings) return { ask, verify: { answer: unknown } }
  if (nodes.some(({ holds }) => holds?.pool === pool.name)) {
    return { ask, verify: { answer: refused(409, 'pool_in_use') } }
  }
  return {
    ask,
    verify: { answer: { status: 204 }, again: [unknown], leaves: ['pool.deleted'] },
    remember() {
      pool.settings = null
      pool.reservations = []
    },
  }
})

const RESERVED = 2
const isText = (value: unknown) => typeof value === 'string' && value !== ''
const reservation = (pool: Pool, offset: number) => ({
  start: addressOf(pool, offset),
  end: addressOf(pool, offset + RESERVED - 1),
  reason: 'gateways',
})

const reserve = withPool(({ random, nodes }, pool) => {
  const wish = reservation(pool, random.pick([10, 12]))
  const ask = { method: 'POST', path: `${pathOf(pool)}/reservations`, body: wish }
  if (!pool.settings) return { ask, verify: { answer: unknown } }
  if (pool.reservations.some(({ start }) => start === wish.start)) {
    return { ask, verify: { answer: refused(409, 'reservation_overlap') } }
  }
  if (nodes.some(({ holds }) => holds?.address === wish.start || holds?.address === wish.end)) {
    return { ask, verify: { answer: refused(409, 'address_in_use') } }
  }
  return {
    ask,
    verify: {
      answer: { status: 201, body: { ...wish, id: isText } },
      again: [refused(409, 'reservation_overlap')],
      leaves: ['reservation.created'],
    },
    remember(reply) {
      pool.reservations.push({ ...wish, id: reply.body.id ?? null })
    },
  }
})

const unreserve = withPool(({ random }, pool) => {
  const one = random.pick(pool.reservations.filter(({ id }) => id !== null))
  if (!one) return undefined
  return {
    ask: { method: 'DELETE', path: `${pathOf(pool)}/reservations/${one.id}` },
    verify: {
      answer: { status: 204 },
      again: [refused(404, 'reservation_not_found')],
      leaves: ['reservation.deleted'],
    },
    remember() {
      pool.reservations.splice(pool.reservations.indexOf(one), 1)
    },
  }
})

export const poolVerbs: Record<string, Verb> = {
  'make a pool': make,
  'change a pool': change,
  'read a pool': read,
  'remove a pool': remove,
  reserve,
  'end a reservation': unreserve,
}

/** The cluster's networks are all declared at once, so one life alone does it. */
export const networkVerbs: Record<string, Verb> = {
  'declare networks': (life) => {
    const { random } = life
    const all = [16, 17, 18, 19].map((part) => ({ kind: 'pod', cidr: `172.${part}.0.0/16`, description: null }))
    const chosen = all.filter(() => random.oneIn(2))
    const clash = random.oneIn(4) ? [{ kind: 'node', cidr: '10.64.0.0/16' }] : []
    const items = [...chosen, ...clash]
    const ask = { method: 'PUT', path: '/v1/networks', body: { items } }
    if (clash.length > 0) return { ask, verify: { answer: refused(409, 'pool_overlap') } }
    return {
      ask,
      verify: { answer: { status: 200, body: { items } }, leaves: ['networks.replaced'], leavesEachTime: true },
      remember() {
        life.networks = items
      },
    }
  },
  'read networks': ({ networks }) => ({
    ask: { method: 'GET', path: '/v1/networks' },
    verify: { answer: { status: 200, body: { items: networks } } },
  }),
}
