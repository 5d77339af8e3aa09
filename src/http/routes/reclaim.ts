import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { signatureOf } from '../../domain/context.js'
import { reclaimOnDemand } from '../../domain/gone-nodes.js'
import { closed, DryRun, ref } from '../../schemas/common.js'
import { Reclaimed, ReclaimWish } from '../../schemas/reclaim.js'
import { contextOf } from '../auth.js'
import type { Services } from '../services.js'

/** @param options.rules milliseconds that a node has to be gone, seconds it may take to join */
export const reclaimRoutes: FastifyPluginAsyncTypebox<{
  services: Services
  rules: { grace: number; neverJoinedAfter: number }
}> = async (app, { services, rules }) => {
  app.post(
    '/v1/reclaim',
    {
      config: { access: ['admin'], problems: ['no_cluster', 'pool_not_found'] },
      schema: {
        tags: ['allocations'],
        operationId: 'reclaim',
        summary:
          'Release the addresses of nodes that are gone, or that never came; each is looked for in the cluster first',
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: ReclaimWish,
        response: { 200: ref(Reclaimed) },
      },
    },
    async (request) => {
      const context = contextOf(services, request)
      return reclaimOnDemand(context, request.body, rules, signatureOf(context))
    },
  )
}
