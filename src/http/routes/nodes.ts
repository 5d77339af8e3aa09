import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { canonicalAddress } from '../../core/ip.js'
import * as nodes from '../../domain/nodes.js'
import { Nothing, withEtag } from '../../schemas/answer.js'
import { Address, closed, DryRun, ifMatchHeader, NodeName, page, pageQuery, ref } from '../../schemas/common.js'
import { Node, NodePatch, NodeState } from '../../schemas/node.js'
import type { NodeFilter } from '../../store/nodes.js'
import { contextOf } from '../auth.js'
import { etagOf, meantBy } from '../etag.js'
import { isText, Pages } from '../page.js'
import type { Services } from '../services.js'

const pages = new Pages('nodes', isText)
const named = Type.Object({ name: NodeName }, closed)

function meantNode(ifMatch: string | undefined): nodes.MeantNode {
  const meant = meantBy(ifMatch)
  return meant && ((row) => meant(nodes.versionOf(row)))
}

export const nodeRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/nodes',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['nodes'],
        operationId: 'listNodes',
        summary: 'List nodes by name',
        querystring: Type.Object(
          {
            ...pageQuery,
            search: Type.Optional(
              Type.String({ format: 'text', maxLength: 253, description: 'Part of the name or of the display IP.' }),
            ),
            displayIp: Type.Optional(Address),
            uniqueIp: Type.Optional(Address),
            state: Type.Optional(NodeState),
            label: Type.Optional(Type.String({ maxLength: 400, format: 'label', examples: ['site=hamburg-3'] })),
          },
          closed,
        ),
        response: { 200: page(Node) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, label, ...rest } = request.query
      const filter: NodeFilter = rest
      if (filter.displayIp !== undefined) filter.displayIp = canonicalAddress(filter.displayIp)
      if (label !== undefined) {
        const at = label.indexOf('=')
        filter.label = { key: label.slice(0, at), value: label.slice(at + 1) }
      }
      const after = pages.after(cursor)
      const rows = await nodes.listNodes(contextOf(services, request), filter, { limit: limit + 1, after })
      return pages.page(rows, limit, nodes.toNode, (row) => row.name)
    },
  )

  app.get(
    '/v1/nodes/:name',
    {
      config: { access: ['admin', 'auditor', 'join'], problems: ['node_not_found'] },
      schema: {
        tags: ['nodes'],
        operationId: 'getNode',
        summary: 'Get a node',
        params: named,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(ref(Node)) },
      },
    },
    async (request, reply) => {
      const row = await nodes.getNode(contextOf(services, request), request.params.name)
      reply.header('etag', etagOf(nodes.versionOf(row)))
      return nodes.toNode(row)
    },
  )

  app.patch(
    '/v1/nodes/:name',
    {
      config: { access: ['admin'], problems: ['node_not_found', 'precondition_failed'] },
      schema: {
        tags: ['nodes'],
        operationId: 'patchNode',
        summary: 'Change what people see of a node',
        params: named,
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        headers: ifMatchHeader,
        body: NodePatch,
        response: { 200: withEtag(ref(Node)) },
      },
    },
    async (request, reply) => {
      const meant = meantNode(request.headers['if-match'])
      const row = await nodes.patchNode(contextOf(services, request), request.params.name, request.body, meant)
      reply.header('etag', etagOf(nodes.versionOf(row)))
      return nodes.toNode(row)
    },
  )

  app.delete(
    '/v1/nodes/:name',
    {
      config: { access: ['admin'], problems: ['node_not_found', 'node_still_registered', 'precondition_failed'] },
      schema: {
        tags: ['nodes'],
        operationId: 'deleteNode',
        summary: 'Release what a node holds, and forget it',
        params: named,
        querystring: Type.Object(
          {
            dryRun: Type.Optional(DryRun),
            force: Type.Optional(Type.Boolean({ description: 'Delete it though it is registered.' })),
          },
          closed,
        ),
        headers: ifMatchHeader,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      await nodes.deleteNode(contextOf(services, request), request.params.name, {
        meant: meantNode(request.headers['if-match']),
        force: request.query.force === true,
      })
      return reply.code(204).send(null)
    },
  )
}
