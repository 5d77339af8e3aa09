import type { ClusterView } from '../cluster/view.js'
import type { Finding } from '../core/finding.js'
import { findingsOf } from '../core/findings.js'
import type { Cluster, Held } from '../core/pictures.js'
import type { ReclaimRules } from '../core/reclaim.js'
import { CatchUp } from './catch-up.js'
import type { Context } from './context.js'
import { allocatedNow, keepFindings, noteSightings } from './findings.js'
import { planNow, type Reclaimed, releaseGone } from './gone-nodes.js'
import { keepDiscovered } from './networks.js'

export interface ReconcileRules extends ReclaimRules {
  /** How long (ms) a node may take to join. */
  patience: number
  /** What is done about nodes that are gone: nothing, say so, or release them. */
  reclaim: 'off' | 'report' | 'release'
  /** The hook gives nodes their unique IP. */
  rewrites: boolean
}

export interface Swept {
  /** How many nodes are due, where none is released. */
  due: number
  released: Reclaimed[]
  /** Pools of which more is gone than is believed. */
  heldBack: { pool: string; gone: number; most: number }[]
}

type Needs = Pick<Context, 'db' | 'engine' | 'cluster' | 'dryRun'>

/**
 * Looks at the cluster again and again, and keeps what does not fit together. What it must not forget lies in the
 * database; here it is only for how long a node was missing by a clock that nobody sets.
 */
export class Reconciler {
  readonly #missing = new Map<string, number>()
  readonly #catchUp: CatchUp
  #last: { nodes: Cluster['nodes']; held: readonly Held[] } | undefined

  constructor(
    private readonly context: Needs,
    private readonly view: Pick<ClusterView, 'picture' | 'networks' | 'isLive' | 'uidOf'>,
    private readonly rules: ReconcileRules,
  ) {
    this.#catchUp = new CatchUp(rules.rewrites)
  }

  /**
   * One look.
   * @param also what others have found
   * @returns what is new and what is over; undefined: the cluster is not known at the moment, and all stays as it was
   * @throws Problem store_unavailable
   */
  async look(also: readonly Finding[]): Promise<{ raised: Finding[]; resolved: Finding[] } | undefined> {
    const { context, rules } = this
    const cluster = this.view.picture
    if (cluster === undefined) return undefined
    const allocated = await allocatedNow(context, cluster.references)
    const memory = await noteSightings(context, cluster.nodes, allocated.held)
    const found = findingsOf(cluster, allocated, memory, rules.patience)
    await keepDiscovered(context.db, cluster.nodes, this.view.networks)
    this.#noteMissing(new Set(cluster.nodes.map(({ name }) => name)), allocated.held)
    this.#last = { nodes: cluster.nodes, held: allocated.held }
    return keepFindings(context, [...found, ...also])
  }

  /**
   * Notes what the last look showed of nodes and the admission hook did not hear.
   * @throws Problem store_unavailable
   */
  async catchUp(signal: AbortSignal): Promise<void> {
    if (this.#last === undefined) return
    const { nodes, held } = this.#last
    this.#last = undefined
    await this.#catchUp.observe(this.context, nodes, held, (name) => this.view.uidOf(name), signal)
  }

  /**
   * Releases what the last look found to be gone, as far as the rules have it.
   * @throws Problem store_unavailable
   */
  async reclaim(signal: AbortSignal): Promise<Swept> {
    const { context, rules } = this
    if (rules.reclaim === 'off' || this.#missing.size === 0) return { due: 0, released: [], heldBack: [] }
    const { due, heldBack } = await planNow(context, rules)
    // The database's clock may have been set meanwhile; this one cannot be.
    const proven = due.filter(({ nodeName }) => {
      const since = this.#missing.get(nodeName)
      return since !== undefined && performance.now() - since >= rules.grace
    })
    if (rules.reclaim === 'report') return { due: proven.length, released: [], heldBack }
    if (!this.view.isLive) return { due: 0, released: [], heldBack }
    const by = { actor: 'system', requestId: `reclaim-${Date.now().toString(36)}` }
    const released = await releaseGone(context, proven, by, signal)
    return { due: 0, released, heldBack }
  }

  #noteMissing(there: ReadonlySet<string>, held: readonly { nodeName: string }[]): void {
    const missing = new Set(held.flatMap(({ nodeName }) => (there.has(nodeName) ? [] : [nodeName])))
    for (const name of this.#missing.keys()) if (!missing.has(name)) this.#missing.delete(name)
    for (const name of missing) if (!this.#missing.has(name)) this.#missing.set(name, performance.now())
  }
}
