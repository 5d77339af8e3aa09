import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { getNetworks, putNetworks } from '../../domain/networks.js'
import { closed, DryRun, ref } from '../../schemas/common.js'
import { Networks } from '../../schemas/network.js'
import { contextOf } from '../auth.js'
import type { Services } from '../services.js'

export const networkRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/networks',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['pools'],
        operationId: 'getNetworks',
        summary: "The cluster's own networks, which no pool may overlap",
        querystring: Type.Object({}, closed),
        response: { 200: ref(Networks) },
      },
    },
    async (request) => getNetworks(contextOf(services, request)),
  )

  app.put(
    '/v1/networks',
    {
      config: { access: ['admin'], problems: ['pool_overlap'] },
      schema: {
        tags: ['pools'],
        operationId: 'putNetworks',
        summary: "Declare the cluster's networks, in the place of all declared before",
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: Networks,
        response: { 200: ref(Networks) },
      },
    },
    async (request) => putNetworks(contextOf(services, request), request.body),
  )
}
