import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { canonicalAddress } from '../core/ip.js'
import { getNode, listNodes, patchNode, toNorthboundNode } from '../domain/nodes.js'
import { contextOf } from '../http/auth.js'
import { etagOf, meantBy, versionOfContent } from '../http/etag.js'
import { isText, Pages } from '../http/page.js'
import type { Services } from '../http/services.js'
import { withEtag } from '../schemas/answer.js'
import { Address, closed, DryRun, ifMatchHeader, NodeName, page, pageQuery, ref } from '../schemas/common.js'
import { NodePatch, NorthboundNode } from '../schemas/node.js'
import type { NodeFilter } from '../store/nodes.js'

const pages = new Pages('northbound nodes', isText)
const named = Type.Object({ name: NodeName }, closed)

/**
 * The console's side. Nothing here ever carries a unique IP: answers are made from what does not hold one, what was
 * sent is never repeated, and the search does not look at unique IPs, since a hit would tell one.
 */
export const northbound: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/northbound/v1/nodes',
    {
      config: { access: ['northbound', 'admin', 'auditor'] },
      schema: {
        tags: ['northbound'],
        operationId: 'listNorthboundNodes',
        summary: 'List nodes as people know them, by name',
        querystring: Type.Object(
          {
            ...pageQuery,
            search: Type.Optional(
              Type.String({ format: 'text', maxLength: 253, description: 'Part of the name or of the display IP.' }),
            ),
            displayIp: Type.Optional(Address),
          },
          closed,
        ),
        response: { 200: page(NorthboundNode) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, search, displayIp } = request.query
      const filter: NodeFilter = {
        ...(search !== undefined && { search }),
        ...(displayIp !== undefined && { displayIp: canonicalAddress(displayIp) }),
      }
      const after = pages.after(cursor)
      const rows = await listNodes(contextOf(services, request), filter, { limit: limit + 1, after })
      return pages.page(rows, limit, toNorthboundNode, (row) => row.name)
    },
  )

  app.get(
    '/northbound/v1/nodes/:name',
    {
      config: { access: ['northbound', 'admin', 'auditor'], problems: ['node_not_found'] },
      schema: {
        tags: ['northbound'],
        operationId: 'getNorthboundNode',
        summary: 'Get a node as people know it',
        params: named,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(ref(NorthboundNode)) },
      },
    },
    async (request, reply) => {
      const node = toNorthboundNode(await getNode(contextOf(services, request), request.params.name))
      reply.header('etag', etagOf(versionOfContent(node)))
      return node
    },
  )

  app.patch(
    '/northbound/v1/nodes/:name',
    {
      config: { access: ['northbound', 'admin'], problems: ['node_not_found', 'precondition_failed'] },
      schema: {
        tags: ['northbound'],
        operationId: 'patchNorthboundNode',
        summary: 'Change what people see of a node',
        params: named,
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        headers: ifMatchHeader,
        body: NodePatch,
        response: { 200: withEtag(ref(NorthboundNode)) },
      },
    },
    async (request, reply) => {
      const meant = meantBy(request.headers['if-match'])
      const row = await patchNode(
        contextOf(services, request),
        request.params.name,
        request.body,
        meant && ((there) => meant(versionOfContent(toNorthboundNode(there)))),
      )
      const node = toNorthboundNode(row)
      reply.header('etag', etagOf(versionOfContent(node)))
      return node
    },
  )
}
