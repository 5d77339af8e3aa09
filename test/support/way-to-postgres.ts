import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way to PostgreSQL that a test can stand in. */
export interface WayToPostgres {
  /** The database's URL, by this way. */
  url: string
  /** All that is open on it, both sides. */
  sockets: ReadonlySet<Socket>
}

/**
 * Opens one. What goes over a connection is for `join` to pass on, or not.
 * @param join is given both sides of a new connection, and what ends them
 */
export async function openWayToPostgres(
  t: Pick<Test, 'teardown'>,
  databaseUrl: string,
  join: (service: Socket, postgres: Socket, end: () => void) => void,
): Promise<WayToPostgres> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  const server = createServer((service) => {
    const postgres = connect(Number(target.port || 5432), target.hostname)
    const end = () => {
      for (const socket of [service, postgres]) {
        socket.destroy()
        sockets.delete(socket)
      }
    }
    for (const socket of [service, postgres]) {
      sockets.add(socket)
      socket.on('error', end).on('close', end)
    }
    join(service, postgres, end)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: url.href, sockets }
}
