import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { isNeverRefused, refusalText } from './refusal.js'
import { requestIdOf } from './request-id.js'

// To be read as HTTP by Node and answered costs a request nearly half of what being served would cost. Offered twice what it
// can serve, the service would then do little else than refuse. So on a connection that was refused once, and comes again
// while there is no room, the request is recognized by its bytes and answered with bytes, before Node's parser sees it.
//
// Who answers a request that the parser has not seen must never be wrong about where it ends. So only what is read at once,
// is one whole request and holds nothing unusual is answered here. With the first chunk that is anything else, the
// connection goes back to the parser for good.

/** Where requests are let in, or not. */
export interface Gate {
  hasRoom(): boolean
  countRefusal(url: string): void
}

const met = new WeakSet<Socket>()

/** Call it when a refused request has been read to its end: from now on its connection is refused quickly. */
export function refuseQuickly(socket: Socket, gate: Gate): void {
  if (!socket.writable || met.has(socket)) return
  met.add(socket)
  const listeners = socket.listeners('data') as ((chunk: Buffer) => void)[]
  const [parse] = listeners
  if (parse === undefined || listeners.length > 1) return
  const look = (chunk: Buffer) => {
    const asked = isIdle(socket) ? wholeRequest(chunk) : undefined
    if (asked === undefined) {
      socket.removeListener('data', look)
      socket.on('data', parse)
      parse(chunk)
    } else if (gate.hasRoom() || isNeverRefused(asked.url)) {
      parse(chunk)
    } else {
      socket.write(refusalText(requestIdOf({ headers: asked.headers })), 'latin1')
      gate.countRefusal(asked.url)
    }
  }
  socket.removeListener('data', parse)
  socket.on('data', look)
}

/** Whether nothing is owed on it, and everything that was sent has been taken. */
function isIdle(socket: Socket): boolean {
  const { _httpMessage: due } = socket as { _httpMessage?: ServerResponse | null }
  return !due && socket.writable && socket.writableLength === 0
}

const firstLine = /^(?:GET|POST|PUT|PATCH|DELETE) (\/\S*) HTTP\/1\.1\r\n/
const unusual =
  /[^\r]\n|\r\n(?:[ \t]|transfer-encoding|expect|upgrade|connection(?!: ?keep-alive\r)|content-length(?!: ?\d{1,5}\r)|content-length[\s\S]*\r\ncontent-length)/i
const lengthField = /\r\ncontent-length: ?(\d+)/i
const idField = /\r\nx-request-id: ?(.*)\r/i

/** What is asked, if the bytes are one whole request and nothing in it is unusual. */
export function wholeRequest(chunk: Buffer): { url: string; headers: { 'x-request-id'?: string } } | undefined {
  const end = chunk.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = chunk.toString('latin1', 0, end + 2)
  const [, url] = firstLine.exec(head) ?? []
  if (url === undefined || unusual.test(head)) return undefined
  const [, length] = lengthField.exec(head) ?? []
  if (end + 4 + Number(length ?? 0) !== chunk.length) return undefined
  const [, id] = idField.exec(head) ?? []
  return { url, headers: id === undefined ? {} : { 'x-request-id': id } }
}
