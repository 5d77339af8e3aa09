import { randomBytes } from 'node:crypto'
import { type Client, DemoError } from './client.js'
import type { DemoOptions } from './options.js'
import type { Screen } from './screen.js'

/** An edge node of the demo. `uniqueIp` and `sequence` are what the service answered; '' and 0 before. */
export interface DemoNode {
  site: string
  name: string
  displayIp: string
  uniqueIp: string
  sequence: number
  note: string
}

export interface PoolView {
  name: string
  cidr: string
  state: string
  nodeSelector: Record<string, string> | null
  quarantineSeconds: number
  utilization: Record<'capacity' | 'allocated' | 'quarantined' | 'reserved' | 'free', bigint>
}

/** How long one kind of call took, `n` times over. */
export interface Timing {
  what: string
  count: number
  seconds: number
  perSecond: number
  p50Ms: number
  p99Ms: number
}

interface Token {
  id: string
  role: string
  secret: string
}

/** All that the steps of one run share. */
export interface Run {
  options: DemoOptions
  client: Client
  screen: Screen
  /** All names of the run begin so; '' on a throw-away service, where nobody else is. */
  prefix: string
  /** The pool that the run made for itself, and asks for by name. */
  ownPool: string | undefined
  tokens: { join: Token; cloudcore: Token; northbound: Token }
  nodes: DemoNode[]
  timings: Timing[]
  /** How many answers took more than one attempt. */
  retries: number
}

/** Released addresses of the run's own pool rest only so long (s), so that the pool can be removed at the end. */
const OWN_QUARANTINE = 10

/** For people who want the demo to be over: a token that an interrupted run leaves behind is dead an hour later. */
const TOKEN_LIFE = 3_600_000

/** Makes what the run needs on the service: its pool (where one is asked for) and its tokens. */
export async function prepareRun(options: DemoOptions, client: Client, screen: Screen, prefix: string): Promise<Run> {
  const first = await client.call('GET', '/v1/pools?limit=1')
  if (first.status === 401) throw new DemoError('The service does not know the token. It has to be its admin token.')
  if (first.status === 404) throw new DemoError('There is no edge-ipam at this URL.')
  const run: Run = {
    options,
    client,
    screen,
    prefix,
    ownPool: undefined,
    tokens: {} as Run['tokens'],
    nodes: planNodes(options, prefix),
    timings: [],
    retries: 0,
  }
  if (options.server && options.cidr !== undefined) await makeOwnPool(run, options.cidr)
  const free = (await usablePools(run)).reduce((sum, { utilization }) => sum + utilization.free, 0n)
  // One more: the newcomer who is refused the released address.
  const needed = options.sites * options.nodesPerSite + 1
  if (free < needed) {
    await removeOwnPool(run)
    throw new DemoError(
      `The run needs ${needed} free addresses, and there are ${free} in the active pools that take every node. ` +
        (options.server ? 'Give --cidr for a pool of its own, or ask for fewer nodes.' : 'Give a larger --cidr.'),
    )
  }
  run.tokens.join = await makeToken(run, { role: 'join', namePattern: `${prefix}site-*` })
  run.tokens.cloudcore = await makeToken(run, { role: 'cloudcore' })
  run.tokens.northbound = await makeToken(run, { role: 'northbound' })
  return run
}

export function newPrefix(): string {
  return `demo-${randomBytes(3).toString('hex')}-`
}

/** Every site uses the same addresses: 192.168.1.10 and on. The sites come by turns, so that equal ones meet. */
function planNodes({ sites, nodesPerSite }: DemoOptions, prefix: string): DemoNode[] {
  const width = (most: number) => Math.max(String(most).length, 2)
  const nodes: DemoNode[] = []
  for (let n = 1; n <= nodesPerSite; n++) {
    for (let s = 1; s <= sites; s++) {
      const site = `site-${String(s).padStart(width(sites), '0')}`
      const name = `${prefix}${site}-node-${String(n).padStart(width(nodesPerSite), '0')}`
      nodes.push({ site, name, displayIp: privateAddress(n - 1), uniqueIp: '', sequence: 0, note: '' })
    }
  }
  return nodes
}

/** 192.168.1.10 to 192.168.1.254, then 192.168.2.10 and on: what people give by hand. */
export function privateAddress(index: number): string {
  return `192.168.${1 + Math.floor(index / 245)}.${10 + (index % 245)}`
}

/** The pools that the nodes of the run may get addresses from. */
export async function usablePools(run: Run): Promise<PoolView[]> {
  const pools = await listPools(run)
  return run.ownPool !== undefined
    ? pools.filter(({ name }) => name === run.ownPool)
    : pools.filter(({ state, nodeSelector }) => state === 'active' && nodeSelector === null)
}

export async function listPools({ client }: Pick<Run, 'client'>): Promise<PoolView[]> {
  const pools = await client.list<PoolView>('/v1/pools')
  return pools.map((pool) => {
    const { capacity, allocated, quarantined, reserved, free } = pool.utilization
    const exact = {
      capacity: BigInt(capacity),
      allocated: BigInt(allocated),
      quarantined: BigInt(quarantined),
      reserved: BigInt(reserved),
      free: BigInt(free),
    }
    return { ...pool, utilization: exact }
  })
}

async function makeOwnPool(run: Run, cidr: string): Promise<void> {
  const name = `${run.prefix}pool`
  const made = await run.client.call('POST', '/v1/pools', {
    body: { name, cidr, quarantineSeconds: OWN_QUARANTINE, description: 'made by edge-ipam demo for one run' },
  })
  // A repeat after a lost answer meets the pool that the first attempt made.
  if (made.status !== 201 && !(made.retried && made.body?.code === 'pool_exists')) {
    const hint = made.body?.code === 'pool_overlap' ? ' Without --cidr the run uses the pools that there are.' : ''
    throw new DemoError(`No pool of its own for the run: ${made.body?.detail ?? made.status}${hint}`)
  }
  run.ownPool = name
}

/** Only while nothing was allocated from it. */
async function removeOwnPool(run: Run): Promise<void> {
  if (run.ownPool !== undefined) await run.client.call('DELETE', `/v1/pools/${run.ownPool}`)
}

async function makeToken({ client, prefix }: Run, wish: { role: string; namePattern?: string }): Promise<Token> {
  const made = await client.expect([201], 'POST', '/v1/tokens', {
    body: {
      ...wish,
      expiresAt: new Date(Date.now() + TOKEN_LIFE).toISOString(),
      description: tokenDescription(prefix),
    },
  })
  return { id: made.body.id, role: wish.role, secret: made.body.secret }
}

export function tokenDescription(prefix: string): string {
  return `made by edge-ipam demo for one run (${prefix || 'throw-away'})`
}

/** What a node asks for when it joins. */
export function joinBody(run: Run, node: DemoNode): Record<string, unknown> {
  const { name, displayIp, site } = node
  return {
    nodeName: name,
    displayIp,
    labels: { site },
    ...(run.ownPool !== undefined && { pool: run.ownPool }),
  }
}

/** Does a call for each node at once, with a progress bar, and keeps the times. `call` answers how long it took (ms). */
export async function timed(
  run: Run,
  what: string,
  nodes: readonly DemoNode[],
  call: (node: DemoNode) => Promise<{ ms: number; retried: boolean }>,
): Promise<Timing> {
  const bar = run.screen.progress(what, nodes.length)
  const times: number[] = []
  const began = performance.now()
  try {
    await run.client.forEach(nodes, async (node) => {
      const { ms, retried } = await call(node)
      times.push(ms)
      if (retried) run.retries++
      bar.tick()
    })
  } finally {
    bar.done()
  }
  const seconds = (performance.now() - began) / 1000
  times.sort((a, b) => a - b)
  const at = (share: number) => round(times[Math.max(Math.ceil(times.length * share) - 1, 0)] ?? 0)
  const timing = {
    what,
    count: times.length,
    seconds: round(seconds),
    perSecond: Math.round(times.length / Math.max(seconds, 0.001)),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  }
  run.timings.push(timing)
  return timing
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
