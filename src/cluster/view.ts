import type { Cluster } from '../core/pictures.js'
import { type Connection, wordsOf } from './connection.js'
import { endpointSlices, nodes, services, type WatchedNode } from './kinds.js'
import { type DiscoveredNetwork, discoverNetworks } from './networks.js'
import { Watched } from './watched.js'

/** How often (ms) it is asked for what seldom changes, and how soon again when it could not be. */
const NETWORKS_EVERY = { known: 60_000, trouble: 3_000 }
/** So long (ms) what was known last is good enough, when it is not known what changes. */
const STALE = 60_000

/** The cluster as it is now, as far as it concerns addresses. */
export class ClusterView {
  readonly #nodes: Watched<WatchedNode>
  readonly #references: Watched<Cluster['references'][number]>[]
  #networks: readonly DiscoveredNetwork[] | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /**
   * @param told.onChange something is other than before
   * @param told.onTrouble something cannot be read, and is tried again; onEnd: it can
   */
  constructor(
    private readonly connection: Connection,
    edgeLabel: string,
    private readonly told: {
      onChange: () => void
      onTrouble: (what: string, error: Error) => void
      onEnd: (what: string) => void
    },
  ) {
    const { onChange, onTrouble, onEnd } = told
    const toldOf = (what: string) => ({
      onChange,
      onTrouble: (error: Error) => onTrouble(what, error),
      onEnd: () => onEnd(what),
    })
    this.#nodes = new Watched(connection, nodes(edgeLabel), toldOf('nodes'))
    this.#references = [
      new Watched(connection, services, toldOf('services')),
      new Watched(connection, endpointSlices, toldOf('endpointslices')),
    ]
    void this.#discover()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const watched of [this.#nodes, ...this.#references]) watched.stop()
  }

  /**
   * All of it; undefined as long as a part is not known, or not any more. A cluster without a single Node is none: there is
   * always one that the control plane or cloudcore runs on, so whoever lists nothing has lost its data or its mind.
   */
  get picture(): Cluster | undefined {
    const parts = [this.#nodes, ...this.#references]
    const known = parts.every((part) => part.isKnown(STALE))
    if (!known || this.#networks === undefined || this.#nodes.values.size === 0) return undefined
    return {
      nodes: [...this.#nodes.values.values()],
      networks: this.#networks,
      references: this.#references.flatMap(({ values }) => [...values.values()]),
    }
  }

  /** Whether the picture is of this very moment, as far as the kube-apiserver has told. */
  get isLive(): boolean {
    return this.#nodes.isKnown(0)
  }

  /** The networks that the cluster tells of, but for those of each Node's Pods, which the picture has. */
  get networks(): readonly DiscoveredNetwork[] {
    return this.#networks ?? []
  }

  /** The uid of a Node that is there. */
  uidOf(name: string): string | undefined {
    return this.#nodes.values.get(`/${name}`)?.uid
  }

  async #discover(): Promise<void> {
    let again = NETWORKS_EVERY.known
    try {
      let whole = true
      this.#networks = await discoverNetworks(this.connection, (error) => {
        whole = false
        this.told.onTrouble('networks', new Error(wordsOf(error)))
      })
      if (whole) this.told.onEnd('networks')
      this.told.onChange()
    } catch (error) {
      again = NETWORKS_EVERY.trouble
      this.told.onTrouble('networks', new Error(wordsOf(error)))
    }
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#discover(), again).unref()
  }
}
