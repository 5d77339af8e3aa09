import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { listFindings } from '../../domain/findings.js'
import { closed, NodeName, page, pageQuery } from '../../schemas/common.js'
import { FindingKind, FindingOnWire } from '../../schemas/finding.js'
import { contextOf } from '../auth.js'
import { isRowId, Pages } from '../page.js'
import type { Services } from '../services.js'

const pages = new Pages('findings', isRowId)

export const findingRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/findings',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['findings'],
        operationId: 'listFindings',
        summary: 'What does not fit together in the cluster, in the order in which it was found',
        querystring: Type.Object(
          {
            ...pageQuery,
            kind: Type.Optional(FindingKind),
            nodeName: Type.Optional(NodeName),
            resolved: Type.Optional(
              Type.Boolean({
                default: false,
                description: 'Those that are over, in the place of those that are open.',
              }),
            ),
          },
          closed,
        ),
        response: { 200: page(FindingOnWire) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, resolved = false, ...rest } = request.query
      const after = pages.after(cursor)
      const rows = await listFindings(contextOf(services, request), { ...rest, resolved }, { limit: limit + 1, after })
      return pages.page(
        rows,
        limit,
        (row) => row,
        (row) => Number(row.id),
      )
    },
  )
}
