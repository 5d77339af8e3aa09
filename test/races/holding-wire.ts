import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

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
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  const services = new Set<Socket>()
  let keptBack: (() => void) | undefined
  const server = createServer((service) => {
    const postgres = connect(Number(target.port || 5432), target.hostname)
    const end = () => {
      for (const socket of [service, postgres]) {
        socket.destroy()
        sockets.delete(socket)
        services.delete(socket)
      }
    }
    for (const socket of [service, postgres]) {
      sockets.add(socket)
      socket.on('error', end).on('close', end)
    }
    services.add(service)
    service.on('data', (chunk) => postgres.write(chunk))
    postgres.on('data', (chunk) => {
      service.write(chunk)
      keptBack?.()
    })
    if (keptBack) service.cork()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: url.href,
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
