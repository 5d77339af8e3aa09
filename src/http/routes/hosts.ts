import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { getHosts } from '../../domain/hosts.js'
import { withEtag } from '../../schemas/answer.js'
import { closed } from '../../schemas/common.js'
import { contextOf } from '../auth.js'
import { etagOf, versionOfContent } from '../etag.js'
import type { Services } from '../services.js'

const EXAMPLE = '10.213.0.1 hamburg-cam-1.edge.internal\n10.213.0.2 munich-cam-1.edge.internal\n'

export const hostsRoutes: FastifyPluginAsyncTypebox<{ services: Services; suffix: string }> = async (
  app,
  { services, suffix: usual },
) => {
  app.get(
    '/v1/hosts',
    {
      config: { access: ['admin', 'auditor', 'cloudcore'] },
      schema: {
        tags: ['nodes'],
        operationId: 'getHosts',
        summary: 'Names and unique IPs of all nodes, as a hosts file',
        description:
          'One line, `<unique IP> <node>.<suffix>`, for each node that holds an address now, by name. Nodes whose name is ' +
          'too long for DNS are left out. The whole file comes at once, however long it is.',
        querystring: Type.Object(
          {
            suffix: Type.Optional(
              Type.String({
                format: 'dns-suffix',
                description: 'What comes after the names; `.` is nothing. By itself `EDGE_IPAM_HOSTS_SUFFIX`.',
                examples: ['edge.internal'],
              }),
            ),
          },
          closed,
        ),
        response: {
          200: withEtag({
            description: 'A hosts file.',
            content: { 'text/plain': { schema: Type.String({ examples: [EXAMPLE] }) } },
          }),
        },
      },
    },
    async (request, reply) => {
      const text = await getHosts(contextOf(services, request), request.query.suffix ?? usual)
      reply.header('etag', etagOf(versionOfContent(text))).type('text/plain; charset=utf-8')
      return reply.send(text as never)
    },
  )
}
