import type { IncomingMessage, ServerResponse } from 'node:http'
import { Problem } from '../core/errors.js'
import { problemBody, statusOf } from './errors.js'
import { requestIdOf } from './request-id.js'

// What a request is told that is not let in. Everything but the request's id is made once.

const problem = new Problem(
  'store_unavailable',
  'More requests are waiting than can be served in time. Send it again shortly.',
  { retryAfter: 1 },
)
const status = statusOf[problem.code]
const type = 'application/problem+json; charset=utf-8'
const retryAfter = String(problem.extra.retryAfter)
/** No id has it. */
const MARK = '@'
const [before, after] = JSON.stringify(problemBody(problem, MARK)).split(MARK) as [string, string]
const head = `HTTP/1.1 ${status} Service Unavailable\r\ncontent-type: ${type}\r\nretry-after: ${retryAfter}\r\n`

/** Who looks whether the process is well has to see it most of all when it has too much to do. */
export function isNeverRefused(url: string): boolean {
  return /^\/(?:livez|readyz|metrics)(?:\?|$)/.test(url)
}

export function refuse(request: IncomingMessage, response: ServerResponse): void {
  const requestId = requestIdOf(request)
  const body = before + requestId + after
  response.writeHead(status, [
    'content-type',
    type,
    'retry-after',
    retryAfter,
    'x-request-id',
    requestId,
    'content-length',
    `${body.length}`,
  ])
  // What is left of its body is read and dropped by Node.
  response.end(body)
}

/** The same as it goes over the wire. */
export function refusalText(requestId: string): string {
  const body = before + requestId + after
  return `${head}x-request-id: ${requestId}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}
