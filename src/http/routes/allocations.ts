import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../core/errors.js'
import { canonicalAddress } from '../../core/ip.js'
import * as allocations from '../../domain/allocations.js'
import { allocateAll, allocateEach } from '../../domain/batch.js'
import {
  Allocation,
  AllocationBatch,
  AllocationResults,
  AllocationState,
  NewAllocation,
} from '../../schemas/allocation.js'
import {
  Address,
  Cidr,
  closed,
  DryRun,
  ifMatchHeader,
  NodeName,
  PoolName,
  page,
  pageQuery,
  ref,
} from '../../schemas/common.js'
import { contextOf } from '../auth.js'
import { invalidFields, problemBody, statusOf } from '../errors.js'
import { etagOf, meantBy } from '../etag.js'
import { decodeCursor, isAddressText, toPage } from '../page.js'
import { wantsPlainText } from '../plain-text.js'
import { answers } from '../problems.js'
import type { Services } from '../services.js'
import { itemCheck } from '../validation.js'

const reading = { access: ['admin', 'auditor'] } as const
const ofAddress = Type.Object({ address: Address }, closed)
const releasing = Type.Object(
  {
    dryRun: Type.Optional(DryRun),
    force: Type.Optional(Type.Boolean({ description: 'Release it though the node is registered.' })),
  },
  closed,
)

/** JSON, or the bare address and a newline. */
export function jsonOrAddress<T>(schema: T) {
  return {
    description: 'JSON, or with `Accept: text/plain` the bare address and a newline.',
    content: {
      'application/json': { schema },
      'text/plain': { schema: Type.String({ examples: ['10.213.0.17\n'] }) },
    },
  }
}

export const allocationRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.post(
    '/v1/allocations',
    {
      config: { access: ['admin', 'join'] },
      schema: {
        tags: ['allocations'],
        summary: 'Give a node its address: a new one (201), or the one it has (200)',
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: NewAllocation,
        response: answers({ 200: jsonOrAddress(ref(Allocation)), 201: jsonOrAddress(ref(Allocation)) }),
      },
    },
    async (request, reply) => {
      const { created, allocation } = await allocations.allocate(contextOf(services, request), request.body)
      reply.code(created ? 201 : 200).header('etag', etagOf(allocation.sequence))
      if (wantsPlainText(request.headers.accept)) {
        return reply.type('text/plain; charset=utf-8').send(`${allocation.uniqueIp}\n` as never)
      }
      return allocation
    },
  )

  const problemsOf = itemCheck(NewAllocation)
  app.post(
    '/v1/allocations/batch',
    {
      config: { access: ['admin', 'join'] },
      schema: {
        tags: ['allocations'],
        summary: 'Give many nodes their addresses: each by itself, or all or none',
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: AllocationBatch,
        response: answers({ 200: ref(AllocationResults) }),
      },
    },
    async (request) => {
      const context = contextOf(services, request)
      const items = request.body.items.map((item, index) => {
        const errors = problemsOf(item, `/items/${index}`)
        return errors.length > 0 ? invalidFields(errors) : (item as NewAllocation)
      })
      const granted = await (request.body.atomic ? allocateAll(context, items) : allocateEach(context, items))
      return {
        results: granted.map((one) =>
          one instanceof Problem
            ? { status: statusOf[one.code], problem: problemBody(one, request.id) }
            : { status: one.created ? 201 : 200, allocation: one.allocation },
        ),
      }
    },
  )

  app.get(
    '/v1/allocations',
    {
      config: reading,
      schema: {
        tags: ['allocations'],
        summary: 'List what is not free, by address',
        querystring: Type.Object(
          {
            ...pageQuery,
            pool: Type.Optional(PoolName),
            state: Type.Optional(AllocationState),
            nodeName: Type.Optional(NodeName),
            displayIp: Type.Optional(Address),
            cidr: Type.Optional(Cidr),
          },
          closed,
        ),
        response: answers({ 200: page(ref(Allocation)) }),
      },
    },
    async (request) => {
      const { limit = 100, cursor, ...filter } = request.query
      if (filter.displayIp !== undefined) filter.displayIp = canonicalAddress(filter.displayIp)
      const after = decodeCursor(cursor, isAddressText)
      const rows = await allocations.listAllocations(contextOf(services, request), filter, { limit: limit + 1, after })
      return toPage(
        rows,
        limit,
        (row) => row,
        (row) => row.uniqueIp,
      )
    },
  )

  app.get(
    '/v1/allocations/:address',
    {
      config: reading,
      schema: {
        tags: ['allocations'],
        summary: 'Who has an address now',
        params: ofAddress,
        querystring: Type.Object({}, closed),
        response: answers({ 200: ref(Allocation) }),
      },
    },
    async (request, reply) => {
      const allocation = await allocations.getAllocation(contextOf(services, request), request.params.address)
      reply.header('etag', etagOf(allocation.sequence))
      return allocation
    },
  )

  /** Two ways to say what is released, one release. */
  const release = async (
    request: FastifyRequest,
    reply: FastifyReply,
    by: { address: string } | { nodeName: string },
    force: boolean | undefined,
  ) => {
    const meant = meantBy(request.headers['if-match'])
    const allocation = await allocations.release(contextOf(services, request), by, { meant, force: force === true })
    reply.header('etag', etagOf(allocation.sequence))
    return allocation
  }

  app.delete(
    '/v1/allocations/:address',
    {
      config: { access: ['admin'] },
      schema: {
        tags: ['allocations'],
        summary: 'Release an address: it rests in quarantine',
        params: ofAddress,
        querystring: releasing,
        headers: ifMatchHeader,
        response: answers({ 200: ref(Allocation) }),
      },
    },
    async (request, reply) =>
      release(request as FastifyRequest, reply, { address: request.params.address }, request.query.force),
  )

  app.delete(
    '/v1/nodes/:name/allocation',
    {
      config: { access: ['admin'] },
      schema: {
        tags: ['allocations'],
        summary: "Release a node's address: it rests in quarantine",
        params: Type.Object({ name: NodeName }, closed),
        querystring: releasing,
        headers: ifMatchHeader,
        response: answers({ 200: ref(Allocation) }),
      },
    },
    async (request, reply) =>
      release(request as FastifyRequest, reply, { nodeName: request.params.name }, request.query.force),
  )
}
