import type { Random } from './random.js'

/** What one client has: things that nobody else touches, so it knows what each answer has to be. */
export interface Life {
  readonly name: string
  readonly random: Random
  readonly nodes: readonly Node[]
  /** Administrators have a pool of their own. */
  readonly pool: Pool | null
  token: Token | null
  /** What it declared; for the one life that declares networks. */
  networks: readonly object[]
  readonly callers: Callers
}

/** Tokens of the roles that verbs are used by. */
export type Callers = Record<'cloudcore' | 'northbound' | 'auditor', string>

export interface Node {
  readonly name: string
  /** The one address that it asks for by name. */
  readonly ownAddress: string
  /** There is a row of it, whether it holds an address or not. */
  known: boolean
  holds: Holding | null
  /** What it held last, if it holds nothing. */
  held: Holding | null
  /** Addresses that it gave back and that rest: they wait for it. */
  resting: Set<string>
  /** Those that rest since before it was forgotten: they wait for nobody. */
  abandoned: Set<string>
  displayIp: string | null
  labels: Record<string, string>
  nodeUid: string | null
  /** The IP it reported, where it is not the unique one. */
  drift: string | null
  /** The last ETag that was told of it, and where: the console's side has its own. */
  etag: { path: string; value: string } | null
  /** The request that changed it last. */
  changedBy: string | null
}

export interface Holding {
  address: string
  pool: string
  sequence: number
  state: 'allocated' | 'registered'
}

export interface Pool {
  readonly name: string
  /** The address that it and all its addresses begin with: `10.160.3.32` is `['10.160.3.', 32]`. */
  readonly base: readonly [string, number]
  settings: { cidr: string; state: string; description: string | null } | null
  /** Who made one without an answer does not know its id before the pool is read. */
  reservations: { id: string | null; start: string; end: string }[]
}

export interface Token {
  readonly id: string
  readonly secret: string
  readonly maxUses: number
  uses: number
  /** Nodes that it has ever allocated for. */
  readonly made: Set<string>
  /** When its end was answered (ms). */
  deletedAt: number | null
}

/** The pools that are there all the time. What is released there rests for longer than the test lasts. */
export const pools = [
  { name: 'default', cidr: '10.64.0.0/12', priority: 100 },
  // For addresses that are asked for: nobody gets one of these otherwise.
  { name: 'asked', cidr: '10.128.0.0/12', priority: 200 },
]

const NODES = 4

/** @param number each life its own, from 0: its addresses follow from it */
export function newLife(number: number, random: Random, callers: Callers): Life {
  const name = `life-${number}`
  const nodes = Array.from({ length: NODES }, (_, index): Node => {
    const node = { name: `${name}-${'abcd'[index]}`, ownAddress: at('10.128', number * NODES + index + 1) }
    return { ...node, ...nobody(), resting: new Set(), abandoned: new Set() }
  })
  const base = at('10.160', number * 32)
  const dot = base.lastIndexOf('.') + 1
  const pool: Pool = {
    name: `pool-of-${name}`,
    base: [base.slice(0, dot), Number(base.slice(dot))],
    settings: null,
    reservations: [],
  }
  return { name, random, nodes, pool: number % 4 === 0 ? pool : null, token: null, networks: [], callers }
}

/** What is known of a node that is not known. */
export function nobody() {
  const nothing = { holds: null, held: null, displayIp: null, nodeUid: null, drift: null, etag: null, changedBy: null }
  return { known: false, ...nothing, labels: {} as Record<string, string> }
}

/** The address so far from where a range of 2^20 begins: `10.128` and 257 is 10.128.1.1. */
function at(start: string, offset: number): string {
  const [first, second] = start.split('.').map(Number)
  return [first, second! + (offset >> 16), (offset >> 8) & 255, offset & 255].join('.')
}
