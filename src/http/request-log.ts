import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/**
 * Writes one line for each request that was answered. Requests have no loggers of their own: to make one costs as much
 * as to write the line, and nearly no request has more to say. Who has, says `requestId` itself.
 */
export function logRequests(app: FastifyInstance): void {
  app.setChildLoggerFactory((log) => log)
  app.addHook('onResponse', (request, reply, done) => {
    const { url, logLevel } = request.routeOptions
    // A route with a level of its own has asked for less than this.
    if (!logLevel) app.log.info(lineOf(request, reply, url ?? null))
    done()
  })
}

/** @param route its pattern, not the URL: a URL can hold an address, or whatever a caller put there */
function lineOf(request: FastifyRequest, reply: FastifyReply, route: string | null): object {
  const { id: requestId, method, caller } = request
  const ms = Math.round(reply.elapsedTime * 10) / 10
  const actor = caller ? `${caller.role}:${caller.tokenId}` : undefined
  return { requestId, method, route, status: reply.statusCode, ms, actor }
}
