import { setMaxListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type * as Kubernetes from '@kubernetes/client-node'

/** Where the cluster is found: by what a Pod is given of it, or by a kubeconfig. */
export type Place = 'in-cluster' | { kubeconfig: string }

/** How long (ms) the kube-apiserver may take for an answer; a watch may last. */
const PATIENCE = 10_000
/** Files are read again when what is known of them is older than this (ms): certificates and tokens change. */
const FRESH = 5_000

/**
 * The way to the kube-apiserver, by the official client. The client is large, and loaded only where there is a cluster.
 * Certificates, tokens and the kubeconfig may change at any time: who asks here each time has them as they are now.
 */
export class Connection {
  readonly #config: Kubernetes.KubeConfig
  #readAt = Number.NEGATIVE_INFINITY

  private constructor(
    readonly kubernetes: typeof Kubernetes,
    private readonly place: Place,
    private readonly onTrouble: (error: Error) => void,
  ) {
    this.#config = new kubernetes.KubeConfig()
  }

  /**
   * Reads the settings of the way; asks nobody yet.
   * @param onTrouble a kubeconfig cannot be read any more: the last good one stays
   * @throws Error that says what is wrong with the kubeconfig
   */
  static async open(place: Place, onTrouble: (error: Error) => void): Promise<Connection> {
    const connection = new Connection(await import('@kubernetes/client-node'), place, onTrouble)
    connection.#read()
    return connection
  }

  /** As the files say now. */
  get config(): Kubernetes.KubeConfig {
    if (this.place !== 'in-cluster' && performance.now() - this.#readAt > FRESH) {
      try {
        this.#read()
      } catch (error) {
        this.#readAt = performance.now()
        this.onTrouble(error as Error)
      }
    }
    return this.#config
  }

  /** A part of the API, for a few calls: whoever keeps it, keeps the address it was made with. */
  api<Api>(
    type: new (configuration: Kubernetes.Configuration) => Api,
    { patience = PATIENCE, signal }: { patience?: number; signal?: AbortSignal } = {},
  ): Api {
    const { config, kubernetes } = this
    return new type(
      kubernetes.createConfiguration({
        baseServer: new kubernetes.ServerConfiguration(config.getCurrentCluster()!.server, {}),
        authMethods: { default: config },
        promiseMiddleware: [
          {
            pre: async (request) => {
              if (signal?.aborted) throw new Error('there was no time left to ask the kube-apiserver')
              request.setSignal(within(patience, signal) as never)
              return request
            },
            post: async (response) => response,
          },
        ],
      }),
    )
  }

  /** The same way for work that ends with a signal: then no call begins any more, and those under way break off. */
  until(signal: AbortSignal): Asker {
    // Every call under way listens to it.
    setMaxListeners(0, signal)
    return { kubernetes: this.kubernetes, api: (type, options) => this.api(type, { ...options, signal }) }
  }

  #read(): void {
    if (this.place === 'in-cluster') {
      // The files it names are read again by the client itself.
      this.#config.loadFromCluster()
    } else {
      const { kubeconfig } = this.place
      const fresh = this.#parse(kubeconfig)
      const cluster = fresh.getCurrentCluster()
      if (!cluster) throw new Error(`${kubeconfig} names no cluster as its current context's`)
      // The client reads these when it needs them, and would tell of it only then.
      const user = fresh.getCurrentUser()
      for (const file of [cluster.caFile, user?.certFile, user?.keyFile]) if (file) readNamed(kubeconfig, file)
      this.#config.loadFromOptions(fresh)
    }
    this.#readAt = performance.now()
  }

  #parse(kubeconfig: string): Kubernetes.KubeConfig {
    const text = readFileSync(kubeconfig, 'utf8')
    const fresh = new this.kubernetes.KubeConfig()
    let users: RawKubeconfig['users']
    try {
      users = this.kubernetes.loadYaml<RawKubeconfig>(text).users
      fresh.loadFromString(text)
    } catch (error) {
      throw new Error(`${kubeconfig} is no kubeconfig (${(error as Error).message.split('\n')[0]})`)
    }
    fresh.makePathsAbsolute(dirname(kubeconfig))
    for (const { name, user } of users ?? []) {
      // The client reads tokens from a file where a Pod has them, but not where a kubeconfig names one.
      const file = user?.tokenFile
      if (file) Object.assign(fresh.getUser(name)!, { token: readNamed(kubeconfig, file).trim() })
    }
    return fresh
  }
}

/** What the kube-apiserver can be asked by. */
export type Asker = Pick<Connection, 'kubernetes' | 'api'>

/** Ends after so long (ms), or with the other signal. Unlike AbortSignal.any, it leaves nothing behind at a signal that lasts. */
function within(patience: number, other: AbortSignal | undefined): AbortSignal {
  if (!other) return AbortSignal.timeout(patience)
  const call = new AbortController()
  const end = () => call.abort()
  setTimeout(end, patience).unref()
  other.addEventListener('abort', end, { signal: call.signal })
  return call.signal
}

/** A file that a kubeconfig names, beside it or elsewhere. */
function readNamed(kubeconfig: string, file: string): string {
  try {
    return readFileSync(resolve(dirname(kubeconfig), file), 'utf8')
  } catch (error) {
    throw new Error(`${kubeconfig} names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

interface RawKubeconfig {
  users?: { name: string; user?: { tokenFile?: string } }[]
}

/** The status that the kube-apiserver answered with; undefined: it could not be asked. */
export function statusOf(error: unknown): number | undefined {
  const { code } = error as { code?: unknown }
  return typeof code === 'number' ? code : undefined
}

/**
 * Whether the kube-apiserver itself says that there is no such object. A load balancer or a proxy before it may answer 404
 * of its own, and would have a Node that lives counted as gone.
 * @param resource as `nodes`
 */
export function isNotFound(error: unknown, resource: string): boolean {
  const said = saidBy(error)
  return statusOf(error) === 404 && said?.reason === 'NotFound' && said.details?.kind === resource
}

/** Whether an object is refused because of its size. */
export function isTooLarge(error: unknown): boolean {
  if (statusOf(error) === 413) return true
  return statusOf(error) === 422 && (saidBy(error)?.details?.causes ?? []).some(({ reason }) => reason === TOO_LONG)
}

const TOO_LONG = 'FieldValueTooLong'

/** The kube-apiserver's own words, where it is what answered. */
function saidBy(error: unknown): Kubernetes.V1Status | undefined {
  const { body } = error as { body?: unknown }
  try {
    const status = typeof body === 'string' ? JSON.parse(body) : body
    return status?.kind === 'Status' ? status : undefined
  } catch {
    return undefined
  }
}

/** What went wrong, in a line. The client's own words hold whole answers. */
export function wordsOf(error: unknown): string {
  const status = statusOf(error)
  if (status === undefined) {
    const { name, message } = error as Error
    return name === 'AbortError' ? 'the kube-apiserver did not answer in time' : message
  }
  const { body } = error as { body?: unknown }
  const message = /"message":\s*("(?:[^"\\]|\\.)*")/.exec(typeof body === 'string' ? body : JSON.stringify(body ?? ''))
  return `the kube-apiserver answered ${status}${message ? `: ${JSON.parse(message[1]!)}` : ''}`
}
