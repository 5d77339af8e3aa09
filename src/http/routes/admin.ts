import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import { canonicalAddress } from '../../core/ip.js'
import { listAudit } from '../../domain/audit.js'
import * as tokens from '../../domain/tokens.js'
import { AuditAction, AuditRow, NewToken, Token, TokenWithSecret } from '../../schemas/admin.js'
import { Nothing, withEtag, withLocation } from '../../schemas/answer.js'
import { Address, closed, DryRun, ifMatchHeader, NodeName, page, pageQuery, ref, Time } from '../../schemas/common.js'
import type { AuditFilter } from '../../store/audit.js'
import { contextOf } from '../auth.js'
import { etagOf, meantBy } from '../etag.js'
import { isRowId, Pages } from '../page.js'
import type { Services } from '../services.js'

const ofToken = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 64, format: 'text', examples: ['a3f1c05e9b42'] }) },
  closed,
)
const change = Type.Object({ dryRun: Type.Optional(DryRun) }, closed)
const auditPages = new Pages('audit', isRowId)
const tokenPages = new Pages('tokens', isTokenKey)

export const adminRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.get(
    '/v1/audit',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['audit'],
        operationId: 'listAudit',
        summary: 'What happened, newest first',
        querystring: Type.Object(
          {
            ...pageQuery,
            nodeName: Type.Optional(NodeName),
            address: Type.Optional(Address),
            action: Type.Optional(AuditAction),
            actor: Type.Optional(Type.String({ format: 'text', maxLength: 128 })),
            since: Type.Optional(Time),
            until: Type.Optional(Time),
          },
          closed,
        ),
        response: { 200: page(AuditRow) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, since, until, ...rest } = request.query
      const filter: AuditFilter = rest
      if (filter.address !== undefined) filter.address = canonicalAddress(filter.address)
      if (since !== undefined) filter.since = new Date(since)
      if (until !== undefined) filter.until = new Date(until)
      const before = auditPages.after(cursor)
      const rows = await listAudit(contextOf(services, request), filter, { limit: limit + 1, before })
      return auditPages.page(
        rows,
        limit,
        (row) => row,
        (row) => Number(row.id),
      )
    },
  )

  app.post(
    '/v1/tokens',
    {
      config: { access: ['admin'] },
      schema: {
        tags: ['tokens'],
        operationId: 'createToken',
        summary: 'Make a token; its secret is shown this once',
        querystring: change,
        body: NewToken,
        response: { 201: withLocation(withEtag(ref(TokenWithSecret))) },
      },
    },
    async (request, reply) => {
      const token = await tokens.createToken(contextOf(services, request), request.body, new Date())
      reply.code(201).header('etag', etagOf(token.id)).header('location', `/v1/tokens/${token.id}`)
      reply.header('cache-control', 'no-store')
      return token
    },
  )

  app.get(
    '/v1/tokens',
    {
      config: { access: ['admin', 'auditor'] },
      schema: {
        tags: ['tokens'],
        operationId: 'listTokens',
        summary: 'List tokens, without their secrets',
        querystring: Type.Object(pageQuery, closed),
        response: { 200: page(Token) },
      },
    },
    async (request) => {
      const { limit = 100, cursor } = request.query
      const after = tokenPages.after(cursor)
      const rows = await tokens.listTokens(contextOf(services, request), { limit: limit + 1, after })
      return tokenPages.page(
        rows,
        limit,
        (row) => row.token,
        (row) => row.key,
      )
    },
  )

  app.get(
    '/v1/tokens/:id',
    {
      config: { access: ['admin', 'auditor'], problems: ['token_not_found'] },
      schema: {
        tags: ['tokens'],
        operationId: 'getToken',
        summary: 'Get a token, without its secret',
        params: ofToken,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(ref(Token)) },
      },
    },
    async (request, reply) => {
      const token = await tokens.getToken(contextOf(services, request), request.params.id)
      reply.header('etag', etagOf(token.id))
      return token
    },
  )

  app.delete(
    '/v1/tokens/:id',
    {
      config: { access: ['admin'], problems: ['token_not_found', 'precondition_failed'] },
      schema: {
        tags: ['tokens'],
        operationId: 'deleteToken',
        summary: 'Revoke a token',
        params: ofToken,
        querystring: change,
        headers: ifMatchHeader,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      const meant = meantBy(request.headers['if-match'])
      await tokens.deleteToken(contextOf(services, request), request.params.id, meant)
      services.authenticator.forget()
      return reply.code(204).send(null)
    },
  )
}

function isTokenKey(key: unknown): key is { createdAt: string; id: string } {
  if (typeof key !== 'object' || key === null) return false
  const { createdAt, id } = key as Record<string, unknown>
  return (
    typeof createdAt === 'string' && /^\d{1,18}$/.test(createdAt) && typeof id === 'string' && /^\w{1,64}$/.test(id)
  )
}
