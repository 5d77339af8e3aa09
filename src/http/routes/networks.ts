import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { getDiscovered, getNetworks, putNetworks } from '../../domain/networks.js'
import { withEtag } from '../../schemas/answer.js'
import { closed, DryRun, ifMatchHeader, ref } from '../../schemas/common.js'
import { DiscoveredNetworks, Networks } from '../../schemas/network.js'
import { contextOf } from '../auth.js'
import { etagOf, meantBy, versionOfContent } from '../etag.js'
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
        response: { 200: withEtag(ref(Networks)) },
      },
    },
    async (request, reply) => {
      const networks = await getNetworks(contextOf(services, request))
      reply.header('etag', etagOf(versionOfContent(networks)))
      return networks
    },
  )

  app.get(
    '/v1/networks/discovered',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['pools'],
        operationId: 'getDiscoveredNetworks',
        summary: 'The networks that the cluster tells of',
        querystring: Type.Object({}, closed),
        response: { 200: ref(DiscoveredNetworks) },
      },
    },
    async (request) => getDiscovered(contextOf(services, request)),
  )

  app.put(
    '/v1/networks',
    {
      config: { access: ['admin'], problems: ['pool_overlap', 'precondition_failed'] },
      schema: {
        tags: ['pools'],
        operationId: 'putNetworks',
        summary: "Declare the cluster's networks, in the place of all declared before",
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        headers: ifMatchHeader,
        body: Networks,
        response: { 200: withEtag(ref(Networks)) },
      },
    },
    async (request, reply) => {
      const meant = meantBy(request.headers['if-match'])
      const networks = await putNetworks(
        contextOf(services, request),
        request.body,
        meant && ((there) => meant(versionOfContent(there))),
      )
      reply.header('etag', etagOf(versionOfContent(networks)))
      return networks
    },
  )
}
