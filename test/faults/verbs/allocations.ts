import type { Life, Node } from '../life.js'
import { isGrant, type Outcome, outcomeOf, rests, type Wish } from '../outcome.js'
import { type Expected, exactly, refused, type Step, type Verb } from '../step.js'

// Giving addresses and taking them back.

const displayIps = ['192.168.1.10', '192.168.1.11', null]
const labels = [{}, { site: 'hamburg' }, { site: 'munich', rack: '7' }]

/** Some of what a caller may say of a node. */
function saying({ random }: Life): Wish {
  return {
    ...(random.oneIn(2) && { displayIp: random.pick(displayIps)! }),
    ...(random.oneIn(3) && { labels: random.pick(labels) }),
    ...(random.oneIn(6) && { nodeUid: random.pick(['uid-1', 'uid-2']) }),
  }
}

const post = (body: object, path = '/v1/allocations') => ({ method: 'POST', path, body })

/** One allocation, by its outcome. */
function allocating(life: Life, node: Node, wish: Wish, outcome: Outcome = outcomeOf(life, node, wish)): Step {
  const ask = post({ nodeName: node.name, ...wish })
  if (!isGrant(outcome)) return { ask, verify: { answer: refused(outcome.status, outcome.code) } }
  const { status, body, leaves, remember } = outcome
  return {
    ask,
    // Done without an answer, it is there already.
    verify: { answer: { status, body }, again: [{ status: 200, body }], leaves },
    remember: (reply, id) => remember(reply.body, id),
  }
}

const allocate: Verb = (life) => allocating(life, life.random.pick(life.nodes), saying(life))

const allocateAddress: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  return allocating(life, node, { ...saying(life), address: node.ownAddress })
}

const allocateInPool: Verb = (life) =>
  life.pool ? allocating(life, life.random.pick(life.nodes), { pool: life.pool.name }) : undefined

const allocateAsText: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  const outcome = outcomeOf(life, node, {})
  const { ask, verify } = allocating(life, node, {}, outcome)
  if (!isGrant(outcome)) return undefined
  const { uniqueIp } = outcome.body as { uniqueIp: unknown }
  const body = (text: unknown) =>
    typeof text === 'string' && text.endsWith('\n') && (typeof uniqueIp !== 'string' || text === `${uniqueIp}\n`)
  return {
    ask: { ...ask, headers: { accept: 'text/plain' } },
    verify: { ...verify, answer: { status: outcome.status, body }, again: [{ status: 200, body }] },
    remember: (reply, id) =>
      outcome.remember({ uniqueIp: reply.body.trim(), sequence: Number(reply.headers.etag!.slice(1, -1)) }, id),
  }
}

/** By a token that is good for some new allocations, and for ever for what it made. */
const allocateByToken: Verb = (life) => {
  const { token } = life
  if (!token || token.deletedAt !== null) return undefined
  const node = life.random.pick(life.nodes)
  const usedUp = token.uses >= token.maxUses
  const isIts = node.holds !== null && token.made.has(node.name)
  const outcome: Outcome = usedUp && !isIts ? { status: 403, code: 'forbidden' } : outcomeOf(life, node, {})
  const step = allocating(life, node, {}, outcome)
  return {
    ...step,
    ask: { ...step.ask, token: token.secret },
    remember(reply, id) {
      step.remember?.(reply, id)
      if (outcome.code !== 'created') return
      token.uses++
      token.made.add(node.name)
    },
  }
}

const broken = { item: { nodeName: 'Not_A_Name' }, outcome: { status: 400, code: 'validation_failed' } }

function batch(life: Life, atomic: boolean): Step {
  const { random } = life
  const members = random.shuffled(life.nodes).slice(0, 1 + random.below(life.nodes.length))
  const items: { item: object; outcome: Outcome }[] = members.map((node) => {
    const wish = random.oneIn(4) ? { address: node.ownAddress } : saying(life)
    return { item: { nodeName: node.name, ...wish }, outcome: outcomeOf(life, node, wish) }
  })
  if (random.oneIn(4)) items.splice(random.below(items.length), 0, broken)
  const aborts = atomic && items.some(({ outcome }) => !isGrant(outcome))
  const results = (statusOf: (status: number) => unknown) =>
    items.map(({ outcome }) => {
      if (!isGrant(outcome)) return { status: outcome.status, problem: { code: outcome.code } }
      if (aborts) return { status: 409, problem: { code: 'batch_aborted' } }
      return { status: statusOf(outcome.status), allocation: outcome.body }
    })
  const grants = aborts ? [] : items.map(({ outcome }) => outcome)
  return {
    ask: post({ items: items.map(({ item }) => item), ...(atomic && { atomic }) }, '/v1/allocations/batch'),
    verify: {
      answer: { status: 200, body: { results: results((status) => status) } },
      again: [{ status: 200, body: { results: results((status) => (is: unknown) => is === status || is === 200) } }],
      leaves: grants.flatMap((outcome) => (isGrant(outcome) ? outcome.leaves : [])),
    },
    remember(reply, id) {
      for (const [index, outcome] of grants.entries()) {
        if (isGrant(outcome)) outcome.remember(reply.body.results[index].allocation, id)
      }
    },
  }
}

/** Released by name or by address; with If-Match, which names the allocation, or without. */
function releasing({ random }: Life, node: Node, path: string): Step {
  const meant = node.holds ?? (node.held && rests(node.held) ? node.held : null)
  const force = random.oneIn(2)
  const ifMatch = random.pick(['right', 'stale', 'none'])
  const sequence = (meant?.sequence ?? 0) + (ifMatch === 'stale' ? -1 : 0)
  const ask = {
    method: 'DELETE',
    path: `${path}${force ? '?force=true' : ''}`,
    ...(ifMatch !== 'none' && { headers: { 'if-match': `"${sequence}"` } }),
  }
  const gone = ifMatch === 'none' ? refused(404, 'allocation_not_found') : refused(412, 'precondition_failed')
  if (!meant) return { ask, verify: { answer: gone } }
  if (ifMatch === 'stale') return { ask, verify: { answer: refused(412, 'precondition_failed') } }
  const { displayIp, holds } = node
  const body = {
    nodeName: node.name,
    uniqueIp: meant.address,
    pool: meant.pool,
    state: 'quarantined',
    sequence: meant.sequence,
    displayIp,
    labels: exactly(node.labels),
    quarantinedUntil: (time: unknown) => typeof time === 'string',
  }
  const answer: Expected = { status: 200, body }
  if (!holds) return { ask, verify: { answer } }
  if (holds.state === 'registered' && !force) return { ask, verify: { answer: refused(409, 'node_still_registered') } }
  return {
    ask,
    verify: { answer, again: rests(holds) ? [] : [gone], leaves: ['allocation.released'] },
    remember(_reply, id) {
      Object.assign(node, { holds: null, held: holds, etag: null, changedBy: id })
      if (rests(holds)) node.resting.add(holds.address)
    },
  }
}

const releaseByName: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  return releasing(life, node, `/v1/nodes/${node.name}/allocation`)
}

const releaseByAddress: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  const meant = node.holds ?? (node.held && rests(node.held) ? node.held : null)
  return meant ? releasing(life, node, `/v1/allocations/${meant.address}`) : undefined
}

export const allocationVerbs: Record<string, Verb> = {
  allocate,
  'allocate an address': allocateAddress,
  'allocate in a pool': allocateInPool,
  'allocate as text': allocateAsText,
  'allocate by a token': allocateByToken,
  batch: (life) => batch(life, false),
  'atomic batch': (life) => batch(life, true),
  'release by name': releaseByName,
  'release by address': releaseByAddress,
}
