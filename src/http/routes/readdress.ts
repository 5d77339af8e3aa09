import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import type { ProblemCode } from '../../core/errors.js'
import * as domain from '../../domain/readdress.js'
import { toReaddress } from '../../domain/readdress-shapes.js'
import { withLocation } from '../../schemas/answer.js'
import { closed, DryRun, NodeName, page, pageQuery, ref } from '../../schemas/common.js'
import { NewReaddress, NodeReaddress, Readdress, ReaddressNode, ReaddressNodeState } from '../../schemas/readdress.js'
import { contextOf } from '../auth.js'
import { isRowId, Pages } from '../page.js'
import type { Services } from '../services.js'

const change = Type.Object({ dryRun: Type.Optional(DryRun) }, closed)
const ofRun = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64, examples: ['5f0c1a9e3b7d'] }) }, closed)
const runPages = new Pages('readdress', isRowId)
const nodePages = new Pages('readdress nodes', isRowId)
const reading = ['admin', 'auditor'] as const
const ofCluster: ProblemCode[] = ['no_cluster', 'readdress_not_supported']
const made = {
  200: { ...ref(Readdress), description: 'There was nothing to do, and nothing was made.' },
  202: withLocation({ ...ref(Readdress), description: 'It is under way.' }),
}

export const readdressRoutes: FastifyPluginAsyncTypebox<{ services: Services }> = async (app, { services }) => {
  app.post(
    '/v1/nodes/:name/readdress',
    {
      config: {
        access: ['admin'],
        problems: ['allocation_not_found', 'node_not_in_cluster', 'node_not_ready', ...ofCluster],
        bodyOptional: true,
      },
      schema: {
        tags: ['readdress'],
        operationId: 'readdressNode',
        summary: 'Have a node report its unique IP, from the cloud',
        description:
          "By KubeEdge's ConfigUpdateJob (1.21 and later). The same again while it is under way is the same run.",
        params: Type.Object({ name: NodeName }, closed),
        querystring: change,
        body: NodeReaddress,
        response: made,
      },
      preValidation: async (request) => {
        if (request.body === undefined) (request as { body: unknown }).body = {}
      },
    },
    async (request, reply) =>
      tell(reply, await domain.readdressNode(contextOf(services, request), request.params.name, request.body)),
  )

  app.post(
    '/v1/readdress',
    {
      config: { access: ['admin'], problems: ['readdress_not_possible', ...ofCluster] },
      schema: {
        tags: ['readdress'],
        operationId: 'readdressNodes',
        summary: 'Have many nodes report their unique IPs, so many at a time',
        querystring: change,
        body: NewReaddress,
        response: made,
      },
    },
    async (request, reply) => tell(reply, await domain.readdressNodes(contextOf(services, request), request.body)),
  )

  app.get(
    '/v1/readdress',
    {
      config: { access: reading },
      schema: {
        tags: ['readdress'],
        operationId: 'listReaddress',
        summary: 'List runs, the newest first',
        querystring: Type.Object(pageQuery, closed),
        response: { 200: page(Readdress) },
      },
    },
    async (request) => {
      const { limit = 100, cursor } = request.query
      const before = runPages.after(cursor)
      const rows = await domain.listReaddress(contextOf(services, request), { limit: limit + 1, before })
      return runPages.page(rows, limit, toReaddress, (row) => row.number)
    },
  )

  app.get(
    '/v1/readdress/:id',
    {
      config: { access: reading, problems: ['readdress_not_found'] },
      schema: {
        tags: ['readdress'],
        operationId: 'getReaddress',
        summary: 'Get a run, and how far it is',
        params: ofRun,
        querystring: Type.Object({}, closed),
        response: { 200: ref(Readdress) },
      },
    },
    async (request) => domain.getReaddress(contextOf(services, request), request.params.id),
  )

  app.get(
    '/v1/readdress/:id/nodes',
    {
      config: { access: reading, problems: ['readdress_not_found'] },
      schema: {
        tags: ['readdress'],
        operationId: 'listReaddressNodes',
        summary: "List a run's nodes by their turns, with what came of each",
        params: ofRun,
        querystring: Type.Object({ ...pageQuery, state: Type.Optional(ReaddressNodeState) }, closed),
        response: { 200: page(ReaddressNode) },
      },
    },
    async (request) => {
      const { limit = 100, cursor, ...filter } = request.query
      const wanted = { limit: limit + 1, after: nodePages.after(cursor) }
      const rows = await domain.listReaddressNodes(contextOf(services, request), request.params.id, filter, wanted)
      return nodePages.page(
        rows,
        limit,
        ({ node }) => node,
        ({ key }) => key,
      )
    },
  )

  app.post(
    '/v1/readdress/:id/stop',
    {
      config: { access: ['admin'], problems: ['readdress_not_found'] },
      schema: {
        tags: ['readdress'],
        operationId: 'stopReaddress',
        summary: 'Stop a run: who waits does not begin, who is under way is finished',
        description:
          'A node under way of which nothing can be seen just then, because the kube-apiserver does not answer or the service is connected to no cluster, has `failed` at once: nobody can finish it.',
        params: ofRun,
        querystring: change,
        response: { 200: ref(Readdress) },
      },
    },
    async (request) => domain.stopReaddress(contextOf(services, request), request.params.id),
  )
}

function tell(reply: FastifyReply, run: Readdress): Readdress {
  reply.code(run.id === null ? 200 : 202)
  if (run.id !== null) reply.header('location', `/v1/readdress/${run.id}`)
  return run
}
