import type { KubernetesListObject, KubernetesObject, ListWatch } from '@kubernetes/client-node'
import type { Connection } from './connection.js'
import { wordsOf } from './connection.js'

/** One kind of objects: where they are listed, and what of each is kept. */
export interface Kind<Value> {
  /** As the API has it: `/api/v1/nodes`. */
  path: string
  /** A page of them. */
  list: (
    connection: Connection,
    page: { limit: number; _continue?: string },
  ) => Promise<KubernetesListObject<KubernetesObject>>
  /** All that is kept of an object; undefined: nothing is. */
  valueOf: (object: never) => Value | undefined
}

const PAGE = 500
/** The kube-apiserver ends a watch after so long (s), and we go on from there with the next one. */
const WATCH = 240
/** A watch that is silent for so long (ms) is dead: there is a bookmark each minute. */
const SILENCE = (WATCH + 60) * 1000
/** Between two tries (ms), at first and at most. */
const PAUSE = { first: 500, most: 10_000 }

interface Slim<Value> extends KubernetesObject {
  value: Value | undefined
}

/**
 * All objects of a kind as they are now, by an informer of the official client. Of each only what is needed is kept:
 * thousands of whole Nodes would be a hundred megabytes. After trouble of any sort everything is listed again.
 */
export class Watched<Value> {
  /** By `namespace/name`, the namespace empty where there is none. */
  readonly values = new Map<string, Value>()
  /** Since when (ms, performance.now) it is not known what changes; undefined: it is known. */
  #brokenSince: number | undefined = Number.NEGATIVE_INFINITY
  #informer: ListWatch<Slim<Value>> | undefined
  #heard = performance.now()
  #pause = PAUSE.first
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /**
   * @param told.onChange something that is kept has changed
   * @param told.onTrouble it begins anew, because of this; onEnd: it is well again
   */
  constructor(
    private readonly connection: Connection,
    private readonly kind: Kind<Value>,
    private readonly told: { onChange: () => void; onTrouble: (error: Error) => void; onEnd: () => void },
  ) {
    this.#begin()
  }

  /** Whether what is here is so, or was so not longer ago than this (ms). */
  isKnown(stale: number): boolean {
    return this.#brokenSince === undefined || performance.now() - this.#brokenSince < stale
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    void this.#informer?.stop()
  }

  #begin(): void {
    const { kubernetes } = this.connection
    const informer: ListWatch<Slim<Value>> = new kubernetes.ListWatch(
      `${this.kind.path}?allowWatchBookmarks=true&timeoutSeconds=${WATCH}`,
      this.#watch(() => informer === this.#informer),
      () => this.#list(),
      false,
    )
    this.#informer = informer
    const ours = (work: (object: Slim<Value>) => void) => (object: Slim<Value>) => {
      if (informer === this.#informer) work(object)
    }
    informer.on(
      'add',
      ours((object) => this.#set(object)),
    )
    informer.on(
      'update',
      ours((object) => this.#set(object)),
    )
    informer.on(
      'delete',
      ours((object) => this.#delete(keyOf(object))),
    )
    informer.on('error', (error) => {
      if (informer === this.#informer) this.#again(new Error(wordsOf(error)))
    })
    this.#heard = performance.now()
    this.#timer = setTimeout(() => this.#listen(), SILENCE).unref()
    informer.start().catch((error) => {
      if (informer === this.#informer) this.#again(new Error(wordsOf(error)))
    })
  }

  /** Begins anew after a silence that is too long. */
  #listen(): void {
    const silent = performance.now() - this.#heard
    if (silent >= SILENCE) this.#again(new Error('nothing was heard for too long'))
    else this.#timer = setTimeout(() => this.#listen(), SILENCE - silent).unref()
  }

  #again(error: Error): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#brokenSince ??= performance.now()
    const old = this.#informer
    this.#informer = undefined
    void old?.stop()
    this.told.onTrouble(error)
    this.#timer = setTimeout(() => this.#begin(), this.#pause).unref()
    this.#pause = Math.min(this.#pause * 2, PAUSE.most)
  }

  async #list(): Promise<KubernetesListObject<Slim<Value>>> {
    const items: Slim<Value>[] = []
    let page: KubernetesListObject<KubernetesObject> | undefined
    do {
      const from = page?.metadata?._continue
      page = await this.kind.list(this.connection, { limit: PAGE, ...(from && { _continue: from }) })
      items.push(...page.items.map((object) => this.#slim(object)))
      this.#heard = performance.now()
    } while (page.metadata?._continue)
    // The informer is new, and does not know what was here before.
    const there = new Set(items.map(keyOf))
    for (const key of this.values.keys()) if (!there.has(key)) this.#delete(key)
    return { ...page, items }
  }

  /** The client's own watch, of slim objects. Settings of the way are read anew for each one. */
  #watch(isOurs: () => boolean) {
    const { connection } = this
    const way = {
      getCurrentCluster: () => connection.config.getCurrentCluster(),
      applyToFetchOptions: async (options: object) => ({
        ...(await connection.config.applyToFetchOptions(options)),
        // Until it begins to answer; the client waits for ever.
        timeout: 10_000,
      }),
    }
    const client = new connection.kubernetes.Watch(way as never)
    const watch = new connection.kubernetes.Watch(way as never)
    watch.watch = async (path, query, onEvent, onEnd) => {
      let failed = false
      const end = (error: unknown) => {
        failed ||= Boolean(error)
        onEnd(error)
      }
      const onChange = (type: string, object: KubernetesObject, event: unknown) => {
        this.#heard = performance.now()
        const changes = type === 'ADDED' || type === 'MODIFIED'
        onEvent(type, changes ? this.#slim(object) : object, event)
      }
      // It rejects where a file that the kubeconfig names is missing, and the informer, which goes on by itself when a watch
      // has ended, would leave that unhandled.
      const control = await client.watch(path, query, onChange, end).catch((error) => {
        end(error)
        return new AbortController()
      })
      if (!failed && isOurs()) {
        this.#pause = PAUSE.first
        if (this.#brokenSince !== undefined) {
          this.#brokenSince = undefined
          this.told.onEnd()
          this.told.onChange()
        }
      }
      return control
    }
    return watch
  }

  #slim(object: KubernetesObject): Slim<Value> {
    const { name, namespace, resourceVersion } = object.metadata ?? {}
    return {
      metadata: { ...(name && { name }), ...(namespace && { namespace }), ...(resourceVersion && { resourceVersion }) },
      value: this.kind.valueOf(object as never),
    }
  }

  #set(object: Slim<Value>): void {
    const key = keyOf(object)
    if (object.value === undefined) this.#delete(key)
    else if (JSON.stringify(this.values.get(key)) !== JSON.stringify(object.value)) {
      this.values.set(key, object.value)
      this.told.onChange()
    }
  }

  #delete(key: string): void {
    if (this.values.delete(key)) this.told.onChange()
  }
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`
}
