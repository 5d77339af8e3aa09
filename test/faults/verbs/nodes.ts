import { type Life, type Node, nobody } from '../life.js'
import { isGrant, outcomeOf, rests, told } from '../outcome.js'
import { exactly, fits, including, refused, type Step, type Verb } from '../step.js'

// What is said of nodes, by cloudcore, administrators and the console, and what they read.

const unknown = refused(404, 'node_not_found')

/** A node as `/v1/nodes` has it. */
export function nodeOf(node: Node) {
  const { name, holds, displayIp, nodeUid, labels } = node
  const { address: uniqueIp = null, pool = null, state = null, sequence = null } = holds ?? {}
  return { nodeName: name, displayIp, uniqueIp, pool, state, sequence, nodeUid, labels: exactly(labels) }
}

/** A node as the console sees it. */
export function northboundNodeOf({ name, holds, displayIp, labels }: Node) {
  const joinedAt = (time: unknown) => (time === null) === (holds?.state !== 'registered')
  return { name, internalIp: displayIp, labels: exactly(labels), state: holds?.state ?? null, joinedAt }
}

/** Cloudcore says that it has joined; with `allocate`, also of a node that nobody announced. */
function registering(life: Life, node: Node, allocate: boolean): Step {
  const { random, callers, pool } = life
  const nodeUid = random.oneIn(3) ? random.pick(['uid-1', 'uid-2']) : undefined
  const reportedIp = random.pick([undefined, node.holds?.address, '192.168.1.10'])
  const body = { ...(nodeUid && { nodeUid }), ...(reportedIp && { reportedIp }) }
  const ask = {
    method: 'POST',
    path: `/v1/nodes/${node.name}/registration${allocate ? '?allocate=true' : ''}`,
    token: callers.cloudcore,
    ...(Object.keys(body).length > 0 && { body }),
  }
  if (!node.holds && !allocate) return { ask, verify: { answer: unknown } }
  const isFirst = node.holds?.state !== 'registered'
  if (isFirst && node.holds && node.holds.pool === pool?.name && pool.settings?.state === 'disabled') {
    return { ask, verify: { answer: refused(409, 'pool_not_active') } }
  }
  const outcome = outcomeOf(life, node, { ...(nodeUid && { nodeUid }) })
  if (!isGrant(outcome)) return { ask, verify: { answer: refused(outcome.status, outcome.code) } }
  const { uniqueIp, sequence } = outcome.body
  // What is reported of a node that holds nothing yet is not what it will have.
  const drift = reportedIp === undefined ? node.drift : reportedIp === node.holds?.address ? null : reportedIp
  const rows = [...(isFirst ? ['allocation.registered'] : []), ...(drift === node.drift ? [] : ['node.updated'])]
  return {
    ask,
    verify: {
      answer: { status: 200, body: { nodeName: node.name, uniqueIp, sequence } },
      leaves: [...outcome.leaves, ...rows],
    },
    remember(reply, id) {
      outcome.remember(reply.body, id)
      node.holds!.state = 'registered'
      node.drift = drift
      if (rows.length > 0) node.changedBy = id
    },
  }
}

/** One change for administrators and the console; what they see of it differs. */
function patching(
  { random }: Life,
  node: Node,
  door: { path: string; token?: string; shape: (node: Node) => object },
): Step {
  const rack = random.pick(['1', '2', null])
  const displayIp = random.pick(['192.168.2.10', '192.168.2.11', null, undefined])
  const body = { ...(displayIp !== undefined && { displayIp }), ...(random.oneIn(2) && { labels: { rack } }) }
  const etag = random.oneIn(2) && node.etag?.path === door.path ? node.etag.value : null
  const { shape, ...to } = door
  const ask = { method: 'PATCH', ...to, body, ...(etag && { headers: { 'if-match': etag } }) }
  if (!node.known) return { ask, verify: { answer: etag ? refused(412, 'precondition_failed') : unknown } }
  const { rack: _, ...others } = node.labels
  const labels = !body.labels ? node.labels : rack === null ? others : { ...others, rack }
  const { rows, ...after } = told(node, { ...(displayIp !== undefined && { displayIp }), labels })
  return {
    ask,
    verify: {
      answer: { status: 200, body: shape({ ...node, ...after }) },
      // Done without an answer, it is no longer as If-Match says.
      again: etag && rows.length > 0 ? [refused(412, 'precondition_failed')] : [],
      leaves: rows,
    },
    remember(reply, id) {
      Object.assign(node, after, {
        etag: reply.status === 200 ? { path: door.path, value: reply.headers.etag! } : null,
      })
      if (rows.length > 0) node.changedBy = id
    },
  }
}

const patch: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  return patching(life, node, { path: `/v1/nodes/${node.name}`, shape: nodeOf })
}

const patchNorthbound: Verb = (life) => {
  const node = life.random.pick(life.nodes)
  const path = `/northbound/v1/nodes/${node.name}`
  return patching(life, node, { path, token: life.callers.northbound, shape: northboundNodeOf })
}

const forget: Verb = ({ random, nodes }) => {
  // Rarely: a node that is forgotten has nothing that could be lost.
  if (!random.oneIn(3)) return undefined
  const node = random.pick(nodes)
  const force = random.oneIn(2)
  const any = random.oneIn(2)
  const ask = {
    method: 'DELETE',
    path: `/v1/nodes/${node.name}${force ? '?force=true' : ''}`,
    ...(any && { headers: { 'if-match': '*' } }),
  }
  const gone = any ? refused(412, 'precondition_failed') : unknown
  if (!node.known) return { ask, verify: { answer: gone } }
  const { holds } = node
  if (holds?.state === 'registered' && !force) return { ask, verify: { answer: refused(409, 'node_still_registered') } }
  return {
    ask,
    verify: {
      answer: { status: 204 },
      again: [gone],
      leaves: [...(holds ? ['allocation.released'] : []), 'node.deleted'],
    },
    remember(_reply, id) {
      if (holds && rests(holds)) node.resting.add(holds.address)
      for (const address of node.resting) node.abandoned.add(address)
      node.resting.clear()
      Object.assign(node, nobody(), { changedBy: id })
    },
  }
}

const lookUp: Verb = ({ random, nodes, callers }) => {
  const node = random.pick(nodes)
  const asText = random.oneIn(3)
  const ask = {
    method: 'GET',
    path: `/v1/nodes/${node.name}/unique-ip`,
    token: callers.cloudcore,
    ...(asText && { headers: { accept: 'text/plain' } }),
  }
  if (!node.holds) return { ask, verify: { answer: unknown } }
  const { address: uniqueIp, sequence } = node.holds
  const body = asText ? `${uniqueIp}\n` : { nodeName: node.name, uniqueIp, sequence }
  return { ask, verify: { answer: { status: 200, body, headers: { etag: `"${sequence}"` } } } }
}

const read: Verb = ({ random, nodes }) => {
  const node = random.pick(nodes)
  const path = `/v1/nodes/${node.name}`
  return {
    ask: { method: 'GET', path },
    verify: { answer: node.known ? { status: 200, body: nodeOf(node) } : unknown },
    remember(reply) {
      if (node.known) node.etag = { path, value: reply.headers.etag! }
    },
  }
}

const list: Verb = ({ name, nodes }) => ({
  ask: { method: 'GET', path: `/v1/nodes?search=${name}-` },
  verify: {
    answer: { status: 200, body: { items: nodes.filter(({ known }) => known).map(nodeOf), nextCursor: null } },
  },
})

const listNorthbound: Verb = ({ name, nodes, callers }) => {
  const known = nodes.filter((node) => node.known)
  const tellsNone = (body: unknown) => !known.some(({ holds }) => holds && JSON.stringify(body).includes(holds.address))
  const items = known.map(northboundNodeOf)
  return {
    ask: { method: 'GET', path: `/northbound/v1/nodes?search=${name}-`, token: callers.northbound },
    verify: { answer: { status: 200, body: (body: unknown) => tellsNone(body) && fits(body, { items }) } },
  }
}

const readAudit: Verb = ({ random, nodes, callers }) => {
  const node = random.pick(nodes)
  if (node.changedBy === null) return undefined
  return {
    ask: { method: 'GET', path: `/v1/audit?nodeName=${node.name}`, token: callers.auditor },
    verify: { answer: { status: 200, body: { items: including({ requestId: node.changedBy, nodeName: node.name }) } } },
  }
}

/** Who has an address, and what happened to it. */
const readHistory: Verb = ({ random, nodes, callers }) => {
  const node = random.pick(nodes)
  const meant = node.holds ?? (node.held && rests(node.held) ? node.held : null)
  if (!meant) return undefined
  const { address, sequence } = meant
  const state = node.holds?.state ?? 'quarantined'
  const [path, answer] = random.pick([
    ['', { address, state, nodeName: node.name, sequence }],
    ['/history', { items: including({ action: 'allocation.created', nodeName: node.name, address }) }],
  ] as const)
  const token = callers.auditor
  return {
    ask: { method: 'GET', path: `/v1/addresses/${address}${path}`, token },
    verify: { answer: { status: 200, body: answer } },
  }
}

export const nodeVerbs: Record<string, Verb> = {
  register: (life) => registering(life, life.random.pick(life.nodes), false),
  'register and allocate': (life) => registering(life, life.random.pick(life.nodes), true),
  'change a node': patch,
  'change a node, northbound': patchNorthbound,
  'forget a node': forget,
  'look up': lookUp,
  'read a node': read,
  'list nodes': list,
  'list nodes, northbound': listNorthbound,
  'read the audit trail': readAudit,
  'read the history of an address': readHistory,
}
