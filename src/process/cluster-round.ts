import type { FastifyBaseLogger } from 'fastify'
import { wordsOf } from '../cluster/connection.js'
import { type NodeEvent, tellOfNode } from '../cluster/events.js'
import { ClusterView } from '../cluster/view.js'
import type { Finding } from '../core/finding.js'
import type { Context } from '../domain/context.js'
import { type Looked, type ReconcileRules, Reconciler } from '../domain/reconcile.js'
import { auditTail } from '../store/audit.js'
import type { Troubles } from './troubles.js'

/** After a look there is a pause of so many times as long as it took: however large the cluster, looks are a tenth of the work. */
const PAUSE = 9
/** Events about more nodes than this at once are of no use to anybody: the findings have them all. */
const MOST_EVENTS = 100

export type ClusterContext = Pick<Context, 'db' | 'engine' | 'dryRun'> & { cluster: NonNullable<Context['cluster']> }

export interface ClusterRules extends ReconcileRules {
  /** The label that edge nodes have. */
  edgeLabel: string
  /** The cluster is looked at after so long (ms) also when nothing has changed: time passes. */
  lookEvery: number
}

/** Something else that one replica does for all, each round. What it finds is kept with the findings. */
export interface Task {
  name: string
  run: (signal: AbortSignal) => Promise<readonly Finding[]>
}

/** What the leading replica does, once a second. */
export class ClusterRound {
  readonly #view: ClusterView
  readonly #reconciler: Reconciler
  readonly #found = new Map<string, readonly Finding[]>()
  #changed = true
  #tail = ''
  #nextLook = 0
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly context: ClusterContext,
    private readonly rules: ClusterRules,
    private readonly tasks: readonly Task[],
    private readonly troubles: Troubles,
    private readonly log: FastifyBaseLogger,
  ) {
    this.#view = new ClusterView(context.cluster, rules.edgeLabel, {
      onChange: () => {
        this.#changed = true
      },
      onTrouble: (what, error) => troubles.met(`the cluster's ${what} cannot be read`, error),
      onEnd: (what) => troubles.over(`the cluster's ${what} cannot be read`),
    })
    this.#reconciler = new Reconciler(context, this.#view, rules)
  }

  stop(): void {
    this.#view.stop()
  }

  /** Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    for (const task of this.tasks) {
      if (signal.aborted) return
      await this.#try(`${task.name} could not be done`, async () => {
        const before = JSON.stringify(this.#found.get(task.name) ?? [])
        const found = await task.run(signal)
        this.#found.set(task.name, found)
        if (JSON.stringify(found) !== before) this.#changed = true
      })
    }
    if (!signal.aborted) await this.#try('the cluster was not looked at', () => this.#look(signal))
  }

  async #look(signal: AbortSignal): Promise<void> {
    if (performance.now() < this.#nextLook) return
    const tail = await auditTail(this.context.db)
    const due = performance.now() - this.#lookedAt >= this.rules.lookEvery
    if (!this.#changed && tail === this.#tail && !due) return
    this.#changed = false
    this.#tail = tail
    const began = performance.now()
    const looked = await this.#reconciler.look([...this.#found.values()].flat(), signal).catch((error) => {
      this.#changed = true
      throw error
    })
    this.#lookedAt = performance.now()
    this.#nextLook = this.#lookedAt + PAUSE * (this.#lookedAt - began)
    if (looked === undefined) return
    await this.#tell(looked)
  }

  async #tell({ raised, resolved, released, due, heldBack }: Looked): Promise<void> {
    if (raised.length + resolved.length > 0) {
      this.log.info({ raised: raised.length, resolved: resolved.length }, 'findings changed')
    }
    for (const one of released) {
      if (one.released) this.log.info({ nodeName: one.nodeName }, 'released: the node is gone from the cluster')
      else this.log.warn({ nodeName: one.nodeName, cause: one.reason }, 'not released, though it was missing')
    }
    const what = 'more nodes are gone than is believed; POST /v1/reclaim releases them'
    if (heldBack.length > 0) this.troubles.met(what, new Error(JSON.stringify(heldBack)))
    else this.troubles.over(what)
    const left = 'nodes are gone, and EDGE_IPAM_RECLAIM=release would release them'
    if (due > 0) this.troubles.met(left, new Error(`${due}`))
    else this.troubles.over(left)
    const events = [
      ...raised.map((finding) => this.#eventOf(finding, 'Warning', '')),
      ...resolved.map((finding) => this.#eventOf(finding, 'Normal', 'Resolved')),
    ].flatMap((event) => event ?? [])
    for (const event of events.slice(0, MOST_EVENTS)) {
      await this.#try('an Event could not be written', () => tellOfNode(this.context.cluster, event, new Date()))
    }
  }

  /** Undefined for what is about no Node that is there. */
  #eventOf({ kind, subject, message }: Finding, type: NodeEvent['type'], end: string): NodeEvent | undefined {
    const uid = subject.kind === 'Node' ? this.#view.uidOf(subject.name) : undefined
    if (uid === undefined) return undefined
    const reason = kind.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()) + end
    return { nodeName: subject.name, uid, type, reason, message: end === '' ? message : `Over: ${message}` }
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.troubles.over(what)
    } catch (error) {
      this.troubles.met(what, new Error(wordsOf(error)))
    }
  }
}
