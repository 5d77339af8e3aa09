import { type Holding, type Life, type Node, pools } from './life.js'
import { above, exactly } from './step.js'

// The rules of allocation, as api.md tells them to a caller: what has to come of a wish, given what the caller knows.

export interface Wish {
  displayIp?: string | null
  labels?: Record<string, string> | null
  nodeUid?: string
  pool?: string
  address?: string
}

/** What comes of a wish: a code, or the allocation. */
export type Outcome = { code: string; status: number } | Grant

export interface Grant {
  code: 'created' | 'existing'
  status: 201 | 200
  /** What is known of the allocation beforehand. */
  body: Record<string, unknown>
  leaves: string[]
  /** @param got of the answer */
  remember(got: { uniqueIp: string; sequence: number }, id: string): void
}

export const isGrant = (outcome: Outcome): outcome is Grant => 'body' in outcome

export function outcomeOf({ pool: own }: Life, node: Node, wish: Wish): Outcome {
  const { holds } = node
  if (holds) {
    const asksAnother =
      (wish.pool !== undefined && wish.pool !== holds.pool) ||
      (wish.address !== undefined && wish.address !== holds.address)
    return asksAnother ? { status: 409, code: 'allocation_conflict' } : grant(node, wish, holds)
  }
  if (own && wish.pool === own.name) {
    if (!own.settings) return { status: 404, code: 'pool_not_found' }
    if (own.settings.state !== 'active') return { status: 409, code: 'pool_not_active' }
  }
  const back = node.held && rests(node.held) ? node.held : null
  if (wish.address !== undefined && node.abandoned.has(wish.address)) {
    return { status: 409, code: 'address_quarantined' }
  }
  return grant(node, wish, wish.address !== undefined ? { address: wish.address, pool: 'asked' } : goesTo(wish, back))
}

/** In the pools of all, what is released rests; in a life's own it is free at once. */
export function rests({ pool }: { pool: string }): boolean {
  return pools.some(({ name }) => name === pool)
}

function goesTo(wish: Wish, back: Holding | null): { address?: string; pool: string } {
  if (wish.pool !== undefined) return { pool: wish.pool }
  return back ? { address: back.address, pool: back.pool } : { pool: 'default' }
}

function grant(node: Node, wish: Wish, place: Holding | { address?: string; pool: string }): Grant {
  const isNew = !('state' in place)
  const before = node.holds ?? node.held
  const { known, rows, ...said } = told(node, wish)
  const sequence = isNew || rows.includes('node.reregistered') ? above(before?.sequence ?? 0) : place.sequence
  return {
    code: isNew ? 'created' : 'existing',
    status: isNew ? 201 : 200,
    body: {
      nodeName: node.name,
      uniqueIp: place.address ?? ((ip: unknown) => typeof ip === 'string' && ip !== ''),
      pool: place.pool,
      state: isNew ? 'allocated' : place.state,
      sequence,
      displayIp: said.displayIp,
      nodeUid: said.nodeUid,
      labels: exactly(said.labels),
      quarantinedUntil: null,
    },
    leaves: isNew ? ['allocation.created', ...rows] : rows,
    remember({ uniqueIp, sequence }, id) {
      const holds: Holding = {
        address: uniqueIp,
        pool: place.pool,
        sequence,
        state: isNew ? 'allocated' : place.state,
      }
      Object.assign(node, said, { known: true, holds, held: null, etag: null })
      node.resting.delete(uniqueIp)
      if (isNew || rows.length > 0) node.changedBy = id
    },
  }
}

/** What a node is like after a caller has said so of it, and the audit rows of what changed. */
export function told(node: Node, wish: Pick<Wish, 'displayIp' | 'labels' | 'nodeUid'>) {
  const displayIp = wish.displayIp !== undefined ? wish.displayIp : node.displayIp
  const labels = wish.labels !== undefined ? (wish.labels ?? {}) : node.labels
  const nodeUid = wish.nodeUid ?? node.nodeUid
  const rows: string[] = []
  // Of a node that nobody knew, the row that it was allocated says all.
  if (node.known) {
    const another = node.nodeUid !== null && nodeUid !== node.nodeUid
    if (another) rows.push('node.reregistered')
    const first = node.nodeUid === null && nodeUid !== null
    if (first || displayIp !== node.displayIp || !exactly(labels)(node.labels)) rows.push('node.updated')
  }
  return { known: node.known, displayIp, labels, nodeUid, rows }
}
