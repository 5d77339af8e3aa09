import { Problem } from '../core/errors.js'
import { addressOf } from '../core/ip.js'
import type { Cluster, ClusterNode, Held } from '../core/pictures.js'
import type { Caller, Context } from './context.js'
import { observe } from './observe.js'

const reconciler: Caller = { role: 'cloudcore', tokenId: 'reconciler', namePattern: null, limited: false }

/** As many in one go (each is a transaction); the next look goes on. */
const MOST = 100
/** After so long (ms) it is tried again what was tried in vain. */
const AGAIN = 10 * 60_000

/**
 * Observes what the admission hook did not: where there is none, where it was not asked, or was away in that moment, and what
 * was announced after it had asked. So a node is registered, and has a display IP, though nobody heard it join.
 */
export class CatchUp {
  /** What each node that was observed looked like then: as long as it does, nothing more comes of it. */
  readonly #tried = new Map<string, string>()
  #since = performance.now()

  /** @param rewrites an InternalIP that is the unique one may be our own word */
  constructor(private readonly rewrites: boolean) {}

  /** @throws Problem store_unavailable */
  async observe(
    context: Omit<Context, 'caller' | 'requestId'>,
    nodes: Cluster['nodes'],
    held: readonly Held[],
    uidOf: (name: string) => string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (performance.now() - this.#since > AGAIN) {
      this.#tried.clear()
      this.#since = performance.now()
    }
    const holders = new Map(held.map((one) => [one.nodeName, one]))
    let count = 0
    for (const node of nodes) {
      const own = holders.get(node.name)
      const uid = uidOf(node.name)
      if (own === undefined || !this.#isNews(node, uid, own)) continue
      if (signal.aborted || ++count > MOST) return
      const by = { ...context, caller: reconciler, requestId: `reconcile-${Date.now().toString(36)}` }
      const addresses = node.internalIps.filter((text) => addressOf(text) !== undefined)
      const report = { name: node.name, nodeUid: uid, addresses, labels: {} }
      try {
        await observe(by, report, { unknown: 'ignore', rewrites: this.rewrites })
      } catch (error) {
        // A pool that is disabled, for example: the hook would have been refused as well.
        if (!(error instanceof Problem) || error.code === 'store_unavailable') throw error
      }
      this.#tried.set(node.name, signatureOf(node, uid, own))
    }
  }

  #isNews(node: ClusterNode, uid: string | undefined, own: Held): boolean {
    if (!node.isEdge || node.internalIps.length === 0) return false
    const isOwn = node.internalIps.includes(own.uniqueIp)
    const isNews = isOwn ? own.state === 'allocated' || own.nodeUid !== uid : own.displayIp === null && !this.rewrites
    return isNews && this.#tried.get(node.name) !== signatureOf(node, uid, own)
  }
}

function signatureOf({ internalIps }: ClusterNode, uid: string | undefined, { uniqueIp, state }: Held): string {
  return [uniqueIp, state, uid, ...internalIps].join(' ')
}
