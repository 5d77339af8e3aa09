import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../core/errors.js'
import { canonicalAddress } from '../../core/ip.js'
import * as allocations from '../../domain/allocations.js'
import { allocateAll, allocateEach } from '../../domain/batch.js'
import { release as releaseAddress } from '../../domain/releases.js'
import {
  Allocation,
  AllocationBatch,
  AllocationResults,
  AllocationState,
  NewAllocation,
} from '../../schemas/allocation.js'
import { jsonOrAddress, withEtag } from '../../schemas/answer.js'
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
import { isAddressText, Pages } from '../page.js'
import { wantsPlainText } from '../plain-text.js'
import type { Services } from '../services.js'
import { itemCheck } from '../validation.js'

const pages = new Pages('allocations', isAddressText)
const reading = { access: ['admin', 'auditor'] } as const
const refusals = [
  'pool_not_found',
  'pool_not_active',
  'pool_exhausted',
  'address_in_use',
  'address_quarantined',
  'address_reserved',
  'address_not_in_pool',
  'allocation_conflict',
] as const
const releasers = {
  access: ['admin'],
  problems: ['allocation_not_found', 'node_still_registered', 'precondition_failed'],
} as const
const ofAddress = Type.Object({ address: Address }, closed)
const releasing = Type.Object(
  {
    dryRun: Type.Optional(DryRun),
    force: Type.Optional(Type.Boolean({ description: 'Release it though the node is registered.' })),
  },
  closed,
)

export const allocationRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.post(
    '/v1/allocations',
    {
      config: { access: ['admin', 'join'], problems: refusals },
      schema: {
        tags: ['allocations'],
        operationId: 'allocate',
        summary: 'Give a node its address: a new one (201), or the one it has (200)',
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: NewAllocation,
        response: {
          200: withEtag(jsonOrAddress(ref(Allocation), 'What the node has already.')),
          201: withEtag(jsonOrAddress(ref(Allocation), 'A new allocation.')),
        },
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
        operationId: 'allocateBatch',
        summary: 'Give many nodes their addresses: each by itself, or all or none',
        querystring: Type.Object({ dryRun: Type.Optional(DryRun) }, closed),
        body: AllocationBatch,
        response: { 200: ref(AllocationResults) },
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
        operationId: 'listAllocations',
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
        response: { 200: page(Allocation) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, ...filter } = request.query
      if (filter.displayIp !== undefined) filter.displayIp = canonicalAddress(filter.displayIp)
      const after = pages.after(cursor)
      const rows = await allocations.listAllocations(contextOf(services, request), filter, { limit: limit + 1, after })
      return pages.page(
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
      config: { ...reading, problems: ['allocation_not_found'] },
      schema: {
        tags: ['allocations'],
        operationId: 'getAllocation',
        summary: 'Who has an address now',
        params: ofAddress,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(ref(Allocation)) },
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
    const allocation = await releaseAddress(contextOf(services, request), by, { meant, force: force === true })
    reply.header('etag', etagOf(allocation.sequence))
    return allocation
  }

  app.delete(
    '/v1/allocations/:address',
    {
      config: releasers,
      schema: {
        tags: ['allocations'],
        operationId: 'releaseAddress',
        summary: 'Release an address: it rests in quarantine',
        params: ofAddress,
        querystring: releasing,
        headers: ifMatchHeader,
        response: { 200: withEtag(ref(Allocation)) },
      },
    },
    async (request, reply) =>
      release(request as FastifyRequest, reply, { address: request.params.address }, request.query.force),
  )

  app.delete(
    '/v1/nodes/:name/allocation',
    {
      config: releasers,
      schema: {
        tags: ['allocations'],
        operationId: 'releaseNode',
        summary: "Release a node's address: it rests in quarantine",
        params: Type.Object({ name: NodeName }, closed),
        querystring: releasing,
        headers: ifMatchHeader,
        response: { 200: withEtag(ref(Allocation)) },
      },
    },
    async (request, reply) =>
      release(request as FastifyRequest, reply, { nodeName: request.params.name }, request.query.force),
  )
}
