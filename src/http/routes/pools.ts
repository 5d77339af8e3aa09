import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import * as pools from '../../domain/pools.js'
import * as reservations from '../../domain/reservations.js'
import { Nothing, withEtag, withLocation } from '../../schemas/answer.js'
import { closed, DryRun, ifMatchHeader, PoolName, page, pageQuery, ref } from '../../schemas/common.js'
import { NewPool, NewReservation, Pool, PoolPatch, Reservation } from '../../schemas/pool.js'
import { contextOf } from '../auth.js'
import { etagOf, meantBy } from '../etag.js'
import { isAddressText, isText, Pages } from '../page.js'
import type { Services } from '../services.js'

const named = Type.Object({ name: PoolName }, closed)
const change = Type.Object({ dryRun: Type.Optional(DryRun) }, closed)
const listing = Type.Object(pageQuery, closed)
const poolPages = new Pages('pools', isText)
const reservationPages = new Pages('reservations', isAddressText)
const reading = { access: ['admin', 'auditor'] } as const
const changing = { access: ['admin'] } as const

export const poolRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.post(
    '/v1/pools',
    {
      config: {
        ...changing,
        problems: [
          'pool_exists',
          'pool_overlap',
          'cidr_not_usable',
          'reservation_overlap',
          'reservation_outside_pool',
          'invalid_range',
        ],
      },
      schema: {
        tags: ['pools'],
        operationId: 'createPool',
        summary: 'Make a pool',
        querystring: change,
        body: NewPool,
        response: { 201: withLocation(withEtag(ref(Pool))) },
      },
    },
    async (request, reply) => {
      const { pool, revision } = await pools.createPool(contextOf(services, request), request.body)
      reply.code(201).header('etag', etagOf(revision)).header('location', `/v1/pools/${pool.name}`)
      return pool
    },
  )

  app.get(
    '/v1/pools',
    {
      config: reading,
      schema: {
        tags: ['pools'],
        operationId: 'listPools',
        summary: 'List pools by name, with their utilization',
        querystring: listing,
        response: { 200: page(Pool) },
      },
    },
    async (request) => {
      const { limit = 100, cursor } = request.query
      const after = poolPages.after(cursor)
      const rows = await pools.listPools(contextOf(services, request), { limit: limit + 1, after })
      return poolPages.page(
        rows,
        limit,
        (pool) => pool,
        (pool) => pool.name,
      )
    },
  )

  app.get(
    '/v1/pools/:name',
    {
      config: { ...reading, problems: ['pool_not_found'] },
      schema: {
        tags: ['pools'],
        operationId: 'getPool',
        summary: 'Get a pool',
        params: named,
        querystring: Type.Object({}, closed),
        response: { 200: withEtag(ref(Pool)) },
      },
    },
    async (request, reply) => {
      const { pool, revision } = await pools.getPool(contextOf(services, request), request.params.name)
      reply.header('etag', etagOf(revision))
      return pool
    },
  )

  app.patch(
    '/v1/pools/:name',
    {
      config: {
        ...changing,
        problems: ['pool_not_found', 'pool_overlap', 'address_in_use', 'precondition_failed', 'cidr_not_usable'],
      },
      schema: {
        tags: ['pools'],
        operationId: 'patchPool',
        summary: 'Change a pool; its CIDR can only grow around itself',
        params: named,
        querystring: change,
        headers: ifMatchHeader,
        body: PoolPatch,
        response: { 200: withEtag(ref(Pool)) },
      },
    },
    async (request, reply) => {
      const meant = meantBy(request.headers['if-match'])
      const context = contextOf(services, request)
      const { pool, revision } = await pools.patchPool(context, request.params.name, request.body, meant)
      reply.header('etag', etagOf(revision))
      return pool
    },
  )

  app.delete(
    '/v1/pools/:name',
    {
      config: { ...changing, problems: ['pool_not_found', 'pool_in_use', 'precondition_failed'] },
      schema: {
        tags: ['pools'],
        operationId: 'deletePool',
        summary: 'Remove a pool that nobody uses',
        params: named,
        querystring: change,
        headers: ifMatchHeader,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      await pools.deletePool(contextOf(services, request), request.params.name, meantBy(request.headers['if-match']))
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/v1/pools/:name/reservations',
    {
      config: {
        ...changing,
        problems: [
          'pool_not_found',
          'address_in_use',
          'reservation_overlap',
          'reservation_outside_pool',
          'invalid_range',
        ],
      },
      schema: {
        tags: ['pools'],
        operationId: 'createReservation',
        summary: 'Keep addresses out of allocation',
        params: named,
        querystring: change,
        body: NewReservation,
        response: { 201: withLocation(withEtag(ref(Reservation))) },
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const reservation = await reservations.createReservation(contextOf(services, request), name, request.body)
      reply.code(201).header('etag', etagOf(reservation.id))
      reply.header('location', `/v1/pools/${name}/reservations/${reservation.id}`)
      return reservation
    },
  )

  app.get(
    '/v1/pools/:name/reservations',
    {
      config: { ...reading, problems: ['pool_not_found'] },
      schema: {
        tags: ['pools'],
        operationId: 'listReservations',
        summary: "List a pool's reservations by address",
        params: named,
        querystring: listing,
        response: { 200: page(Reservation) },
      },
    },
    async (request) => {
      const { limit = 100, cursor } = request.query
      const rows = await reservations.listReservations(contextOf(services, request), request.params.name, {
        limit: limit + 1,
        after: reservationPages.after(cursor),
      })
      return reservationPages.page(
        rows,
        limit,
        (reservation) => reservation,
        (reservation) => reservation.start,
      )
    },
  )

  app.delete(
    '/v1/pools/:name/reservations/:id',
    {
      config: { ...changing, problems: ['pool_not_found', 'reservation_not_found', 'precondition_failed'] },
      schema: {
        tags: ['pools'],
        operationId: 'deleteReservation',
        summary: 'Give reserved addresses back to the pool',
        params: Type.Object(
          { name: PoolName, id: Type.String({ minLength: 1, maxLength: 64, examples: ['3'] }) },
          closed,
        ),
        querystring: change,
        headers: ifMatchHeader,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      const { name, id } = request.params
      const meant = meantBy(request.headers['if-match'])
      await reservations.deleteReservation(contextOf(services, request), name, id, meant)
      return reply.code(204).send(null)
    },
  )
}
