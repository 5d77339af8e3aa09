import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { uniqueIp } from '../domain/allocations.js'
import { register } from '../domain/nodes.js'
import { contextOf } from '../http/auth.js'
import { etagOf, meantBy } from '../http/etag.js'
import { wantsPlainText } from '../http/plain-text.js'
import type { Services } from '../http/services.js'
import { Registration, UniqueIp } from '../schemas/allocation.js'
import { jsonOrAddress, withEtag } from '../schemas/answer.js'
import { closed, DryRun, ifMatchHeader, NodeName, ref } from '../schemas/common.js'

const named = Type.Object({ name: NodeName }, closed)

/** What cloudcore asks: the unique IP by node name, thousands of nodes at a time, and to note that a node has joined. */
export const cloudcore: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/nodes/:name/unique-ip',
    {
      config: { access: ['cloudcore', 'admin', 'auditor', 'join'], problems: ['node_not_found'] },
      schema: {
        tags: ['cloudcore'],
        operationId: 'getUniqueIp',
        summary: 'The unique IP of a node',
        params: named,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(jsonOrAddress(ref(UniqueIp), 'The unique IP of a node.')) },
      },
    },
    async (request, reply) => {
      const found = await uniqueIp(contextOf(services, request), request.params.name)
      reply.header('etag', etagOf(found.sequence))
      if (wantsPlainText(request.headers.accept)) {
        return reply.type('text/plain; charset=utf-8').send(`${found.uniqueIp}\n` as never)
      }
      return found
    },
  )

  app.post(
    '/v1/nodes/:name/registration',
    {
      config: {
        access: ['cloudcore', 'admin'],
        problems: ['node_not_found', 'pool_not_found', 'pool_not_active', 'pool_exhausted', 'precondition_failed'],
        bodyOptional: true,
      },
      schema: {
        tags: ['cloudcore'],
        operationId: 'registerNode',
        summary: 'Note that a node has joined, and have its unique IP',
        params: named,
        querystring: Type.Object(
          {
            dryRun: Type.Optional(DryRun),
            allocate: Type.Optional(Type.Boolean({ description: 'Allocate for a node that nobody announced.' })),
          },
          closed,
        ),
        headers: ifMatchHeader,
        body: Registration,
        response: { 200: withEtag(ref(UniqueIp)) },
      },
      preValidation: async (request) => {
        if (request.body === undefined) (request as { body: unknown }).body = {}
      },
    },
    async (request, reply) => {
      const found = await register(contextOf(services, request), request.params.name, request.body, {
        allocate: request.query.allocate === true,
        meant: meantBy(request.headers['if-match']),
      })
      reply.header('etag', etagOf(found.sequence))
      return found
    },
  )
}
