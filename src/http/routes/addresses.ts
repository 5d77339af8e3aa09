import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { addressAt, addressHistory } from '../../domain/audit.js'
import { AddressAt, AuditRow } from '../../schemas/admin.js'
import { withEtag } from '../../schemas/answer.js'
import { Address, closed, page, pageQuery, ref, Time } from '../../schemas/common.js'
import { contextOf } from '../auth.js'
import { etagOf, versionOfContent } from '../etag.js'
import { isRowId, Pages } from '../page.js'
import type { Services } from '../services.js'

const ofAddress = Type.Object({ ip: Address }, closed)
const pages = new Pages('address history', isRowId)
const reading = { access: ['admin', 'auditor'] } as const

export const addressRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/addresses/:ip',
    {
      config: { ...reading, problems: ['address_not_found'] },
      schema: {
        tags: ['audit'],
        operationId: 'getAddress',
        summary: 'Who had an address at an instant, or has it now',
        params: ofAddress,
        querystring: Type.Object({ at: Type.Optional(Time) }, closed),
        response: { 200: withEtag(ref(AddressAt)) },
      },
    },
    async (request, reply) => {
      const { at: instant } = request.query
      const found = await addressAt(
        contextOf(services, request),
        request.params.ip,
        instant === undefined ? undefined : new Date(instant),
      )
      // The time of asking is no part of what is told.
      const { at: _, ...told } = found
      reply.header('etag', etagOf(versionOfContent(told)))
      return found
    },
  )

  app.get(
    '/v1/addresses/:ip/history',
    {
      config: { ...reading, problems: ['address_not_found'] },
      schema: {
        tags: ['audit'],
        operationId: 'getAddressHistory',
        summary: 'What happened to an address, newest first',
        params: ofAddress,
        querystring: Type.Object(pageQuery, closed),
        response: { 200: page(AuditRow) },
      },
    },
    async (request) => {
      const { limit = 100, cursor } = request.query
      const before = pages.after(cursor)
      const rows = await addressHistory(contextOf(services, request), request.params.ip, { limit: limit + 1, before })
      return pages.page(
        rows,
        limit,
        (row) => row,
        (row) => Number(row.id),
      )
    },
  )
}
