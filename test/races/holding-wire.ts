import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { openWayToPostgres } from '../support/way-to-postgres.js'

/** A way to PostgreSQL on which answers can be held up. */
export interface HoldingWire {
  /** The database's URL, by this way. */
  url: string
  /** From now on answers are kept back. Resolves when one was. */
  hold(): Promise<void>
  /** Lets go what was kept back, and all that comes. */
  letGo(): void
}

export async function startHoldingWire(t: Pick<Test, 'teardown'>, databaseUrl: string): Promise<HoldingWire> {
  const services = new Set<Socket>()
  let keptBack: (() => void) | undefined
  const { url } = await openWayToPostgres(t, databaseUrl, (service, postgres) => {
    services.add(service)
    service.on('close', () => services.delete(service))
    service.on('data', (chunk) => postgres.write(chunk))
    postgres.on('data', (chunk) => {
      service.write(chunk)
      keptBack?.()
    })
    if (keptBack) service.cork()
  })
  return {
    url,
    hold: () => {
      for (const service of services) service.cork()
      return new Promise((resolve) => {
        keptBack = resolve
      })
    },
    letGo: () => {
      keptBack = undefined
      for (const service of services) service.uncork()
    },
  }
}
