import { readFileSync } from 'node:fs'
import fastify from 'fastify'
import { AdmissionAnswer, AdmissionReview } from '../../src/schemas/admission-review.js'
import { AllocationBatch, NewAllocation, Registration } from '../../src/schemas/allocation.js'

// What everything is measured against: Fastify as anybody would begin with it, on the paths of the service, with the same
// schemas of the bodies and an answer that is put together by a schema, too. It stores, checks and logs nothing. Formats are
// plain expressions and the validator is Fastify's own, so that a costly check in the service would not hide in both.

const formats = {
  address: /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]+)$/i,
  'node-name': /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/,
  'pool-name': /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  text: /^[^\0]*$/,
}

const ajv = { customOptions: { strict: false, formats } }
const app = fastify({ ajv })

const answer = {
  type: 'object',
  properties: { nodeName: { type: 'string' }, uniqueIp: { type: 'string' }, sequence: { type: 'integer' } },
} as const

const hello = (nodeName: string) => ({ nodeName, uniqueIp: '10.0.0.1', sequence: 1 })

app.post<{ Body: NewAllocation }>(
  '/v1/allocations',
  { schema: { body: NewAllocation, response: { 201: answer } } },
  async (request, reply) => {
    reply.code(201)
    return hello(request.body.nodeName)
  },
)
app.post<{ Params: { name: string }; Body: Registration }>(
  '/v1/nodes/:name/registration',
  { schema: { body: Registration, response: { 200: answer } } },
  async (request) => hello(request.params.name),
)
app.get<{ Params: { name: string } }>(
  '/v1/nodes/:name/unique-ip',
  { schema: { response: { 200: answer } } },
  async (request) => hello(request.params.name),
)
app.delete<{ Params: { name: string } }>(
  '/v1/nodes/:name/allocation',
  { schema: { response: { 200: answer } } },
  async (request) => hello(request.params.name),
)

const results = {
  type: 'object',
  properties: {
    results: {
      type: 'array',
      items: { type: 'object', properties: { status: { type: 'integer' }, allocation: answer } },
    },
  },
} as const

app.post<{ Body: { items: NewAllocation[] } }>(
  '/v1/allocations/batch',
  { schema: { body: AllocationBatch, response: { 200: results } } },
  async (request) => ({
    results: request.body.items.map(({ nodeName }) => ({ status: 201, allocation: hello(nodeName) })),
  }),
)

const nodes = {
  type: 'object',
  properties: {
    items: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          name: { type: 'string' },
          internalIp: { type: 'string' },
          labels: { type: 'object', additionalProperties: { type: 'string' } },
          state: { type: 'string' },
          joinedAt: { type: ['string', 'null'] },
        },
      },
    },
    nextCursor: { type: ['string', 'null'] },
  },
} as const

// As many nodes as are asked for.
app.get<{ Querystring: { limit: number } }>(
  '/northbound/v1/nodes',
  {
    schema: {
      querystring: { type: 'object', properties: { limit: { type: 'integer' }, search: { type: 'string' } } },
      response: { 200: nodes },
    },
  },
  async (request) => ({
    items: Array.from({ length: request.query.limit }, (_, i) => ({
      name: `edge-${i}`,
      internalIp: '192.168.1.10',
      labels: {},
      state: 'allocated',
      joinedAt: null,
    })),
    nextCursor: null,
  }),
)

const {
  HOST: host = '127.0.0.1',
  PORT,
  EDGE_IPAM_WEBHOOK_PORT: hookPort,
  EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: certFile = '',
  EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: keyFile = '',
} = process.env

if (hookPort !== undefined) {
  const hook = fastify({ ajv, https: { cert: readFileSync(certFile), key: readFileSync(keyFile) } })
  hook.post<{ Body: { request: { uid: string } } }>(
    '/hooks/kubernetes/nodes',
    { schema: { body: AdmissionReview, response: { 200: AdmissionAnswer } } },
    async (request) => ({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: request.body.request.uid, allowed: true },
    }),
  )
  await hook.listen({ host, port: Number(hookPort) })
}
await app.listen({ host, port: Number(PORT) })
