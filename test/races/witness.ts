import { isDeepStrictEqual } from 'node:util'
import type { Load } from '../support/load.js'
import { changes, type Known, readingsAfter } from './readings.js'
import { CONNECTIONS } from './replicas.js'

/** So many connections a client has to each replica, to read in three ways at once. */
export const CONNECTIONS_OF_A_CLIENT = 3

/** Shared by those who read and those who break things meanwhile. */
export interface Progress {
  made: number
}

let nodes = 0

/** Clients who change nodes on one replica, read them on another at once, and keep what should not be. */
export class Witness {
  /** Reads that were older than the change before them. */
  readonly stale: string[] = []
  /** Changes that were not answered as they have to be. */
  readonly strange: string[] = []

  /** @param sides for each client in turn, the replica that it writes to, and the one that it reads from */
  constructor(private readonly sides: readonly { writer: Load; reader: Load }[]) {}

  /** Attempts that had no answer, or 503. */
  get repeated(): number {
    const loads = new Set(this.sides.flatMap(({ writer, reader }) => [writer, reader]))
    return [...loads].reduce((sum, { repeated }) => sum + repeated, 0)
  }

  /** Has all clients make changes and read them, until there were so many reads. */
  async reads(count: number, progress: Progress = { made: 0 }): Promise<void> {
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async (_, client) => {
        while (progress.made < count) await this.#life(client, progress)
      }),
    )
  }

  /** One node from its first allocation until it is forgotten. */
  async #life(client: number, progress: Progress): Promise<void> {
    const { writer, reader } = this.sides[client % this.sides.length]!
    const name = `node-${nodes++}-of-many`
    const node: Known = { name, exists: false, holds: null, displayIp: null, formerDisplayIp: null, label: null }
    const connection = (which: number) => client * CONNECTIONS_OF_A_CLIENT + which
    for (const change of changes) {
      const written = await writer.persist(connection(0), change.ask(node))
      const allowed = written.repeats > 0 ? [...change.statuses, ...(change.repeated ?? [])] : change.statuses
      if (!allowed.includes(written.status)) {
        this.strange.push(`${change.what}: ${written.status} ${JSON.stringify(written.body)}`)
        progress.made = Number.POSITIVE_INFINITY
        return
      }
      change.remember(node, written.body ?? {})
      await Promise.all(
        readingsAfter(progress.made).map(async (reading, which) => {
          progress.made++
          const ask = reading.ask(node)
          const read = await reader.persist(connection(which), ask)
          const [is, should] = [reading.seen(read, node), reading.expected(node)]
          if (isDeepStrictEqual(is, should)) return
          this.stale.push(`${change.what}, then ${ask.path}: ${JSON.stringify(is)}, not ${JSON.stringify(should)}`)
        }),
      )
      // An attempt without an answer may be under way still. It would do the same again, but after the next change.
      if (written.repeats > 0) return
    }
  }
}
