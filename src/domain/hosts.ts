import { type ConfigMapName, keepConfigMap } from '../cluster/config-map.js'
import { type Connection, isTooLarge } from '../cluster/connection.js'
import type { Finding } from '../core/finding.js'
import { auditTail } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import { hostsText } from '../store/hosts.js'
import { withRetries } from '../store/transaction.js'
import type { Context } from './context.js'

/** The key of the ConfigMap, which is the file's name where it is mounted. */
const KEY = 'edge-ipam.hosts'
/** What the kube-apiserver takes as a ConfigMap's values (bytes). */
const LARGEST = 1024 * 1024
/** How often (ms) it is written at most: each time every node that mounts it fetches the whole of it. */
const WRITE_EVERY = 5_000
/** Somebody may have changed or deleted it: so often (ms) it is looked at where nothing else gives reason to. */
const LOOK_EVERY = 60_000

/** `<unique IP> <node>.<suffix>` of each node that holds an address, by name. The suffix `.` is none. */
export function getHosts(context: Pick<Context, 'db'>, suffix: string): Promise<string> {
  return withRetries(() => hostsText(context.db, suffix === '.' ? '' : `.${suffix}`))
}

/** Keeps the ConfigMap that CoreDNS's plugin `hosts` reads. Of all replicas one at a time does. */
export class HostsPublisher {
  /** The audit trail as it was when the ConfigMap last was as it should be. */
  #tail: string | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #wroteAt = Number.NEGATIVE_INFINITY
  #findings: Finding[] = []

  constructor(
    private readonly db: Executor,
    private readonly connection: Connection,
    private readonly options: { configMap: ConfigMapName; suffix: string },
  ) {}

  /**
   * Writes the ConfigMap if it is not as it should be. To be called about every second: where nothing has changed that is
   * one small question to the database.
   * @returns hosts_too_large, as long as the names do not fit into one ConfigMap; the old content stays then
   * @throws Problem store_unavailable; what statusOf() and wordsOf() tell of. The next call tries again
   */
  async publish(): Promise<Finding[]> {
    const now = performance.now()
    const tail = await withRetries(() => auditTail(this.db))
    if (tail === this.#tail && now - this.#lookedAt < LOOK_EVERY) return this.#findings
    if (now - this.#wroteAt < WRITE_EVERY) return this.#findings
    const text = await getHosts({ db: this.db }, this.options.suffix)
    this.#findings = (await this.#keep(text, now)) ? [] : [this.#tooLarge()]
    this.#tail = tail
    this.#lookedAt = now
    return this.#findings
  }

  /** @returns whether it fits */
  async #keep(text: string, now: number): Promise<boolean> {
    if (Buffer.byteLength(text) > LARGEST) return false
    try {
      if (await keepConfigMap(this.connection, this.options.configMap, KEY, text)) this.#wroteAt = now
      return true
    } catch (error) {
      // With what else is in it, it is too large.
      if (isTooLarge(error)) return false
      throw error
    }
  }

  #tooLarge(): Finding {
    const { namespace, name } = this.options.configMap
    const message =
      "With the names of all nodes it would be larger than a ConfigMap may be (1 MiB), so it stays as it was. Have the cluster's DNS read a file that is fetched by GET /v1/hosts."
    return { kind: 'hosts_too_large', subject: { kind: 'ConfigMap', namespace, name }, message }
  }
}
