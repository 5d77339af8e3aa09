import type { Ask, Reply } from '../support/load.js'

// One node, all that is done to it, and all ways of reading it. Nobody else touches it, so after each answer it is
// known what every replica has to say of it.

/** What was answered of a node so far. */
export interface Known {
  readonly name: string
  /** Forgotten, or never heard of: false. */
  exists: boolean
  holds: { uniqueIp: string; sequence: number; state: 'allocated' | 'registered' } | null
  displayIp: string | null
  /** The display IP that it had before, by which it must not be found any more. */
  formerDisplayIp: string | null
  label: string | null
}

export interface Change {
  what: string
  ask(node: Known): Ask
  /** What a first attempt may be answered; where it had to be repeated the change may have been made already. */
  statuses: readonly number[]
  repeated?: readonly number[]
  remember(node: Known, body: Reply['body']): void
}

/** A display IP that no node ever has. */
const NOBODYS = '172.15.0.1'

let displayIps = 0

/** No two are the same, so that a search for one finds one node. */
function nextDisplayIp(): string {
  displayIps++
  return `172.${16 + (displayIps >> 16)}.${(displayIps >> 8) & 255}.${displayIps & 255}`
}

function moves(node: Known, displayIp: string | null): void {
  node.formerDisplayIp = node.displayIp
  node.displayIp = displayIp
}

const allocate = (what: string, statuses: readonly number[]): Change => ({
  what,
  statuses,
  repeated: [200],
  ask: ({ name }) => ({
    method: 'POST',
    path: '/v1/allocations',
    body: { nodeName: name, displayIp: nextDisplayIp(), nodeUid: 'uid-1' },
  }),
  remember: (node, { uniqueIp, sequence, displayIp }) => {
    // Whoever held none before is no registered one.
    node.holds = { uniqueIp, sequence, state: node.holds?.state ?? 'allocated' }
    node.exists = true
    moves(node, displayIp)
  },
})

const register = (what: string, nodeUid?: string): Change => ({
  what,
  statuses: [200],
  ask: ({ name }) => ({ method: 'POST', path: `/v1/nodes/${name}/registration`, body: nodeUid ? { nodeUid } : {} }),
  remember: (node, { uniqueIp, sequence }) => {
    node.holds = { uniqueIp, sequence, state: 'registered' }
  },
})

const patch = (what: string, path: string, body: () => object, remember: Change['remember']): Change => ({
  what,
  statuses: [200],
  ask: ({ name }) => ({ method: 'PATCH', path: `${path}/${name}`, body: body() }),
  remember,
})

const release: Change = {
  what: 'a release',
  statuses: [200],
  ask: ({ name, holds }) => ({
    method: 'DELETE',
    path: `/v1/nodes/${name}/allocation?force=true`,
    headers: { 'if-match': `"${holds!.sequence}"` },
  }),
  remember: (node) => {
    node.holds = null
  },
}

const forget: Change = {
  what: 'the end of a node',
  statuses: [204],
  repeated: [404],
  ask: ({ name }) => ({ method: 'DELETE', path: `/v1/nodes/${name}?force=true` }),
  remember: (node) => {
    Object.assign(node, { exists: false, holds: null, label: null })
    moves(node, null)
  },
}

/** The life of a node, in this order. */
export const changes: readonly Change[] = [
  allocate('an allocation', [201]),
  register('a registration'),
  allocate('a display IP that comes with an allocation', [200]),
  patch(
    'a display IP from an administrator',
    '/v1/nodes',
    () => ({ displayIp: nextDisplayIp() }),
    (node, { displayIp }) => moves(node, displayIp),
  ),
  register('a device that takes the place of another', 'uid-2'),
  release,
  allocate('a return', [201]),
  patch(
    'a display IP from the console',
    '/northbound/v1/nodes',
    () => ({ displayIp: nextDisplayIp(), labels: { rack: '7' } }),
    (node, { internalIp }) => {
      moves(node, internalIp)
      node.label = '7'
    },
  ),
  register('a registration of one that returned', 'uid-1'),
  release,
  forget,
  allocate('an allocation to a name that was forgotten', [201]),
  forget,
]

/** A way of reading: what is asked, and what of the answer has to be what. */
export interface Reading {
  ask(node: Known): Ask
  /** Of an answer, what must agree. */
  seen(reply: Reply, node: Known): unknown
  expected(node: Known): unknown
}

const get = (path: string): Ask => ({ method: 'GET', path })
const outside = ({ name, holds, displayIp, label }: Known) => ({
  name,
  internalIp: displayIp,
  state: holds?.state ?? null,
  rack: label,
})
// biome-ignore lint/suspicious/noExplicitAny: an answer of the API
const outsideSeen = ({ name, internalIp, state, labels }: any) => ({
  name,
  internalIp,
  state,
  rack: labels.rack ?? null,
})

const uniqueIp: Reading = {
  ask: ({ name }) => get(`/v1/nodes/${name}/unique-ip`),
  seen: ({ status, body }) => (status === 200 ? [body.uniqueIp, body.sequence] : [status]),
  expected: ({ holds }) => (holds ? [holds.uniqueIp, holds.sequence] : [404]),
}

const node: Reading = {
  ask: ({ name }) => get(`/v1/nodes/${name}`),
  seen: ({ status, body }) =>
    status === 200 ? [body.displayIp, body.uniqueIp, body.sequence, body.state, body.labels.rack ?? null] : [status],
  expected: ({ exists, holds, displayIp, label }) =>
    exists ? [displayIp, holds?.uniqueIp ?? null, holds?.sequence ?? null, holds?.state ?? null, label] : [404],
}

const outsideNode: Reading = {
  ask: ({ name }) => get(`/northbound/v1/nodes/${name}`),
  seen: ({ status, body }) => (status === 200 ? outsideSeen(body) : status),
  expected: (node) => (node.exists ? outside(node) : 404),
}

/** A list of the console, of which only what is said of this node counts. */
const outsideList = (query: (node: Known) => string, found: (node: Known) => boolean): Reading => ({
  ask: (node) => get(`/northbound/v1/nodes?${query(node)}`),
  seen: ({ status, body }, { name }) =>
    // biome-ignore lint/suspicious/noExplicitAny: an answer of the API
    status === 200 ? body.items.filter((item: any) => item.name === name).map(outsideSeen) : status,
  expected: (node) => (found(node) ? [outside(node)] : []),
})

const outsideReadings: readonly Reading[] = [
  outsideNode,
  outsideList(
    ({ name }) => `search=${name}`,
    ({ exists }) => exists,
  ),
  outsideList(
    ({ displayIp }) => `displayIp=${displayIp ?? NOBODYS}`,
    ({ displayIp }) => displayIp !== null,
  ),
  outsideList(
    ({ formerDisplayIp }) => `displayIp=${formerDisplayIp ?? NOBODYS}`,
    () => false,
  ),
]

/** What is read after a change: all that has one answer, and in turn what the console asks. */
export const readingsAfter = (turn: number): readonly Reading[] => [
  uniqueIp,
  node,
  outsideReadings[turn % outsideReadings.length]!,
]
