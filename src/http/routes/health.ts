import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Problem } from '../../core/errors.js'
import { closed } from '../../schemas/common.js'
import { sendProblem } from '../errors.js'

const Health = Type.Object(
  { status: Type.Literal('ok') },
  { ...closed, description: 'All is well.', examples: [{ status: 'ok' }] },
)

const nothing = Type.Object({}, closed)

/** `isReady` says whether the database is there and at the version that this code needs. */
export const healthRoutes: FastifyPluginAsyncTypebox<{ isReady: () => Promise<boolean> }> = async (
  app,
  { isReady },
) => {
  let wasReady = true
  const open = { config: { access: 'open', doors: ['northbound', 'join'] }, logLevel: 'warn' } as const
  app.get(
    '/livez',
    {
      ...open,
      schema: {
        tags: ['health'],
        operationId: 'livez',
        summary: 'The process lives',
        security: [],
        querystring: nothing,
        response: { 200: Health },
      },
    },
    async () => ({ status: 'ok' as const }),
  )
  app.get(
    '/readyz',
    {
      ...open,
      config: { ...open.config, problems: ['store_unavailable'] },
      schema: {
        tags: ['health'],
        operationId: 'readyz',
        summary: 'The database is reached, and at the right version',
        security: [],
        querystring: nothing,
        response: { 200: Health },
      },
    },
    async (request, reply) => {
      const isNow = await isReady()
      // Once, and not with each probe: that it is not ready is an answer, and no error.
      if (isNow !== wasReady) request.log.warn(isNow ? 'ready again' : 'not ready: the database cannot be used')
      wasReady = isNow
      if (isNow) return { status: 'ok' as const }
      return sendProblem(
        reply as FastifyReply,
        new Problem('store_unavailable', 'The database is not reached, or not at the version needed.', {
          retryAfter: 1,
        }),
      ) as never
    },
  )
}
