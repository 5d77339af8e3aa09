import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export type Answer = (response: ServerResponse, request: Seen) => void

/** An answer with a problem document. */
export const problem =
  (status: number, code: string, detail: string, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json', ...headers })
    response.end(JSON.stringify({ type: 'about:blank', title: 'Trouble', status, detail, code, requestId: 'r1' }))
  }

/** An answer with plain text; an address and a newline is what the service gives. */
export const text =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'text/plain', ...headers })
    response.end(body)
  }

/** The connection is cut without an answer. */
export const cut: Answer = (response) => response.socket?.destroy()

const unknownNode = problem(404, 'node_not_found', 'There is no such node, or it holds no address.')

/**
 * A server that gives the answers one after the other (the last one again and again), and keeps what it was asked. For the
 * script's behaviour when a service is in trouble, which a healthy one cannot be asked for. It knows no node: the question
 * that comes before each allocation is answered so, and not kept.
 */
export async function startTrouble(t: Test, answers: Answer[], port = 0) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part) => parts.push(part))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      if (method === 'GET' && /\/v1\/nodes\/[^/]*$/.test(url)) return unknownNode(response, seen[0]!)
      const entry = { method, url, headers, body: Buffer.concat(parts).toString() }
      const answer = answers[Math.min(seen.length, answers.length - 1)]!
      seen.push(entry)
      answer(response, entry)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}
