import type { FastifyBaseLogger } from 'fastify'
import { statusOf, wordsOf } from '../cluster/connection.js'
import { type NodeEvent, tellOfNode } from '../cluster/events.js'
import { ClusterView } from '../cluster/view.js'
import { type Finding, listOf } from '../core/finding.js'
import type { Context } from '../domain/context.js'
import { type ReconcileRules, Reconciler, type Swept } from '../domain/reconcile.js'
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
    const looked = await this.#reconciler.look([...this.#found.values()].flat()).catch((error) => {
      this.#changed = true
      throw error
    })
    this.#lookedAt = performance.now()
    this.#nextLook = this.#lookedAt + PAUSE * (this.#lookedAt - began)
    if (looked === undefined) return
    await this.#tellFindings(looked, signal)
    if (!signal.aborted) this.#tellReleases(await this.#reconciler.reclaim(signal))
    if (!signal.aborted) await this.#reconciler.catchUp(signal)
  }

  #tellReleases({ released, due, heldBack }: Swept): void {
    const kept = released.filter((one) => !one.released)
    for (const { nodeName, released: isReleased } of released) {
      if (isReleased) this.log.info({ nodeName }, 'released: the node is gone from the cluster')
    }
    const missed = 'not released, though it was missing'
    const reasons = new Set(kept.map(({ reason }) => reason))
    if (kept.length === 0) this.troubles.over(missed)
    else {
      const nodes = listOf(kept.map(({ nodeName }) => nodeName))
      this.troubles.met(missed, new Error(`${nodes}: ${[...reasons].join(' ')}`))
    }
    const what = 'more nodes are gone than is believed; POST /v1/reclaim releases them'
    if (heldBack.length > 0) this.troubles.met(what, new Error(JSON.stringify(heldBack)))
    else this.troubles.over(what)
    const left = 'nodes are gone, and EDGE_IPAM_RECLAIM=release would release them'
    if (due > 0) this.troubles.met(left, new Error(`${due}`))
    else this.troubles.over(left)
  }

  async #tellFindings(
    { raised, resolved }: Record<'raised' | 'resolved', Finding[]>,
    signal: AbortSignal,
  ): Promise<void> {
    if (raised.length + resolved.length === 0) return
    this.log.info({ raised: raised.length, resolved: resolved.length }, 'findings changed')
    const events = [
      ...raised.map((finding) => this.#eventOf(finding, 'Warning', '')),
      ...resolved.map((finding) => this.#eventOf(finding, 'Normal', 'Resolved')),
    ].flatMap((event) => event ?? [])
    const left = events.length - MOST_EVENTS
    if (left > 0) this.log.warn({ left }, 'too many Events at once: GET /v1/findings has what these would tell')
    for (const event of events.slice(0, MOST_EVENTS)) {
      // Where there is no answer at all, the next would wait for one as long.
      if (signal.aborted || !(await this.#write(event))) return
    }
  }

  /** @returns whether the kube-apiserver answered */
  async #write(event: NodeEvent): Promise<boolean> {
    const what = 'an Event could not be written'
    try {
      await tellOfNode(this.context.cluster, event, new Date())
      this.troubles.over(what)
      return true
    } catch (error) {
      this.troubles.met(what, new Error(wordsOf(error)))
      return statusOf(error) !== undefined
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
