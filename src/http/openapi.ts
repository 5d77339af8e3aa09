import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { explainForms } from './forms.js'
import { problemAnswers, problemCode, problemsOf, type Route, requestId } from './problems.js'

/** The head of the OpenAPI document; the rest is made from the routes: their schemas, who may call them, what can go wrong. */
export const openapi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'edge-ipam',
      description: 'Cluster-unique IP addresses for KubeEdge edge nodes.',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'Where this document comes from.' }],
    tags: [
      { name: 'allocations', description: 'Give a node its unique IP, and take it back' },
      { name: 'cloudcore', description: 'The unique IP by node name' },
      { name: 'nodes', description: 'What is known of the nodes' },
      { name: 'readdress', description: 'Have nodes report their unique IPs, from the cloud' },
      { name: 'northbound', description: "The console's side: display IPs only" },
      { name: 'pools', description: 'Where addresses come from' },
      { name: 'audit', description: 'What happened' },
      { name: 'findings', description: 'What does not fit together in the cluster' },
      { name: 'tokens', description: 'Who may do what' },
      { name: 'join', description: 'For the device that joins' },
      { name: 'health', description: 'For probes and Prometheus' },
    ],
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      headers: {
        'X-Request-Id': {
          description: "The request's own X-Request-Id if it had a good one; it is in the log and in the audit trail.",
          required: true,
          schema: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,128}$' },
          example: 'V1StGXR8-2s',
        },
      },
    },
    security: [{ token: [] }],
  },
  refResolver: {
    buildLocalReference: (schema, _base, _fragment, index) => (schema.$id as string | undefined) ?? `model-${index}`,
  },
  transform: ({ schema, url, route }) => {
    if (schema?.hide) return { schema, url }
    const { access } = route.config ?? {}
    const who = access === undefined || access === 'open' ? [] : [`Roles: ${access.join(', ')}.`]
    const description = [(schema as Described).description, ...who].filter(Boolean).join('\n\n')
    return { schema: { ...schema, ...(description && { description }), [ROUTE]: route }, url }
  },
  transformObject: (all) =>
    ('openapiObject' in all ? finished(all.openapiObject as Document) : all.swaggerObject) as never,
}

/** Takes the route along to where its operation is finished. */
const ROUTE = 'x-route'

interface Described {
  description?: string
  example?: unknown
  examples?: unknown
  schema?: { $ref?: string }
}

interface Operation extends Described {
  [ROUTE]?: Route
  requestBody?: { required: boolean }
  responses: Record<string, { headers?: object; content?: Record<string, Described> }>
}

interface Document {
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, { properties?: object; examples?: unknown[] }>
    responses?: Record<string, object>
  }
}

function finished(document: Document): Document {
  const { schemas } = document.components
  const problemComponents: Record<string, object> = {}
  Object.assign(schemas.Problem!.properties!, { code: problemCode })
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    for (const answer of Object.values(operation.responses)) {
      answer.headers = { 'X-Request-Id': requestId, ...answer.headers }
      for (const media of Object.values(answer.content ?? {})) showExample(media, schemas)
    }
    const route = operation[ROUTE]!
    delete operation[ROUTE]
    Object.assign(operation.responses, problemAnswers(problemsOf(route), problemComponents))
    if (operation.requestBody && route.config?.bodyOptional) operation.requestBody.required = false
  }
  document.components.responses = problemComponents
  explainForms(document)
  return document
}

/** A schema's example is shown wherever the schema is the whole answer. */
function showExample(media: Described, schemas: Document['components']['schemas']): void {
  if (media.example !== undefined || media.examples !== undefined) return
  const { $ref, ...schema } = (media.schema ?? {}) as { $ref?: string; examples?: unknown[] }
  const whole = $ref === undefined ? schema : schemas[$ref.split('/').at(-1)!]
  if (whole?.examples !== undefined) media.example = whole.examples[0]
}
