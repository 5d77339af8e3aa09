import type { FastifyInstance, HTTPMethods } from 'fastify'
import { Problem } from '../core/errors.js'
import { sendProblem } from './errors.js'

const methods: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']

/**
 * Has every path that there is answer 405 with `Allow` to the methods that it does not have. Call it before the
 * routes are added, and what it returns after.
 */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const allowed = new Map<string, Set<HTTPMethods>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = allowed.get(url) ?? new Set()
    for (const one of [method].flat()) known.add(one as HTTPMethods)
    allowed.set(url, known)
  })
  return () => {
    for (const [url, known] of [...allowed]) {
      const others = methods.filter((method) => !known.has(method))
      const allow = [...known].sort()
      if (others.length === 0) continue
      app.route({
        method: others,
        url,
        config: { access: 'open' },
        schema: { hide: true },
        // Before the body is read: what it holds does not matter.
        onRequest: async (_request, reply) =>
          sendProblem(reply, new Problem('method_not_allowed', `It takes ${allow.join(', ')}.`, { allow })),
        handler: async () => {},
      })
    }
  }
}
