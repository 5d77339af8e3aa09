import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const prefix = randomBytes(6).toString('base64url')
let counter = 0

/**
 * The caller's X-Request-Id, if it is one; else one of ours. Ours are short, since each allocation keeps one in the
 * audit trail: random for the process, counted within it.
 */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id']
  if (typeof given === 'string' && /^[A-Za-z0-9_-]{1,128}$/.test(given)) return given
  counter++
  return `${prefix}-${counter.toString(36)}`
}
