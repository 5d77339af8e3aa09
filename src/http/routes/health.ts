import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { Problem } from '../../core/errors.js'
import { closed } from '../../schemas/common.js'

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
    async () => {
      if (await isReady()) return { status: 'ok' as const }
      throw new Problem('store_unavailable', 'The database is not reached, or not at the version needed.', {
        retryAfter: 1,
      })
    },
  )
}
