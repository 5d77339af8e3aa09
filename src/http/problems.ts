import { type ProblemCode, problems } from '../core/errors.js'
import { statusOf } from './errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What can go wrong in this route, beside what can in any: for the document. */
    problems?: readonly ProblemCode[]
    /** Whether no body is an empty one: for the document. */
    bodyOptional?: true
  }
}

/** What is asked of a route to know what can go wrong in it. */
export interface Route {
  method: string | readonly string[]
  config?: { access?: 'open' | readonly string[]; problems?: readonly ProblemCode[]; bodyOptional?: true }
}

/** Every code that a route may answer with. */
export function problemsOf({ method, config = {} }: Route): ProblemCode[] {
  const codes: ProblemCode[] = ['validation_failed', ...(config.problems ?? [])]
  if (config.access !== 'open') {
    codes.push('unauthorized', 'forbidden', 'rate_limited', 'internal', 'store_unavailable')
    // Of a ServiceAccount's token it is asked whose it is.
    codes.push('cluster_unavailable')
  }
  // Of every other method the body is read, also where none is asked for.
  if (method !== 'GET') codes.push('malformed_json', 'payload_too_large', 'unsupported_media_type')
  return allCodes.filter((code) => codes.includes(code))
}

const allCodes = Object.keys(problems) as ProblemCode[]

/** The answers with these codes, by status: each is one of `components`, since many routes share them. */
export function problemAnswers(
  codes: readonly ProblemCode[],
  components: Record<string, object>,
): Record<string, { $ref: string }> {
  const answers: Record<string, { $ref: string }> = {}
  for (const status of new Set(codes.map((code) => statusOf[code]))) {
    const ofStatus = codes.filter((code) => statusOf[code] === status)
    const name = ofStatus.join('.')
    components[name] ??= problemAnswer(status, ofStatus)
    answers[status] = { $ref: `#/components/responses/${name}` }
  }
  return answers
}

function problemAnswer(status: number, codes: readonly ProblemCode[]) {
  return {
    description: codes.map(describe).join('\n\n'),
    headers: { 'X-Request-Id': requestId, ...headersOf[status] },
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Problem' },
            { type: 'object', properties: { status: { enum: [status] }, code: { enum: codes } } },
          ],
        },
        examples: Object.fromEntries(
          codes.map((code) => [code, { summary: problems[code].title, value: exampleOf(code) }]),
        ),
      },
    },
  }
}

/** The header that every answer has. */
export const requestId = { $ref: '#/components/headers/X-Request-Id' }

const retryAfter = {
  'Retry-After': { description: 'Seconds to wait.', schema: { type: 'string', pattern: '^[0-9]+$' }, example: '5' },
}
const headersOf: Record<number, object> = {
  401: { 'WWW-Authenticate': { schema: { type: 'string' }, example: 'Bearer realm="edge-ipam"' } },
  429: retryAfter,
  503: retryAfter,
}

function describe(code: ProblemCode): string {
  return `\`${code}\`: ${problems[code].means} ${problems[code].remedy}`
}

/** The closed list of codes as a schema: each with what it means and what to do. */
export const problemCode = {
  type: 'string',
  enum: allCodes,
  description: [
    'Stable, for programs.',
    ...allCodes.map((code) => `- \`${code}\` (${statusOf[code]}): ${problems[code].means} ${problems[code].remedy}`),
  ].join('\n'),
}

function exampleOf(code: ProblemCode) {
  const field = { path: '?limit', message: 'It has to be 1000 or less.' }
  const isField = code === 'validation_failed'
  return {
    type: `urn:edge-ipam:problem:${code}`,
    title: problems[code].title,
    status: statusOf[code],
    detail: isField ? `${field.path}: ${field.message}` : `${problems[code].means} ${problems[code].remedy}`,
    code,
    requestId: 'V1StGXR8-2s',
    ...(isField && { errors: [field] }),
  }
}
