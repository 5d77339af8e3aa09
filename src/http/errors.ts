import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { type FieldError, Problem, type ProblemCode, problems } from '../core/errors.js'
import { isAway, storeUnavailable } from '../store/transaction.js'
import { fieldErrors } from './validation.js'

/** The one table from code to status. */
export const statusOf: Record<ProblemCode, number> = {
  malformed_json: 400,
  validation_failed: 400,
  unauthorized: 401,
  forbidden: 403,
  route_not_found: 404,
  node_not_found: 404,
  pool_not_found: 404,
  allocation_not_found: 404,
  reservation_not_found: 404,
  token_not_found: 404,
  address_not_found: 404,
  readdress_not_found: 404,
  method_not_allowed: 405,
  pool_exists: 409,
  pool_overlap: 409,
  pool_in_use: 409,
  pool_not_active: 409,
  pool_exhausted: 409,
  address_in_use: 409,
  address_quarantined: 409,
  allocation_conflict: 409,
  batch_aborted: 409,
  reservation_overlap: 409,
  no_cluster: 422,
  node_still_registered: 409,
  precondition_failed: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  address_not_in_pool: 422,
  address_reserved: 422,
  cidr_not_usable: 422,
  invalid_range: 422,
  reservation_outside_pool: 422,
  readdress_not_supported: 422,
  readdress_not_possible: 422,
  node_not_in_cluster: 422,
  node_not_ready: 422,
  rate_limited: 429,
  internal: 500,
  store_unavailable: 503,
  cluster_unavailable: 503,
}

/** The problem as RFC 9457 writes it. */
export function problemBody(problem: Problem, requestId: string) {
  return {
    type: `urn:edge-ipam:problem:${problem.code}`,
    title: problems[problem.code].title,
    status: statusOf[problem.code],
    detail: problem.detail,
    code: problem.code,
    requestId,
    ...(problem.extra.errors && { errors: [...problem.extra.errors] }),
  }
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.extra.retryAfter !== undefined) reply.header('retry-after', String(problem.extra.retryAfter))
  if (problem.extra.allow) reply.header('allow', problem.extra.allow.join(', '))
  if (problem.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="edge-ipam"')
  // Again, for what fails before any hook runs: a path that cannot be read.
  reply.header('x-request-id', reply.request.id)
  return reply
    .code(statusOf[problem.code])
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemBody(problem, reply.request.id)))
}

/** Fastify's own refusals, by their code. */
const ofFramework: Record<string, [ProblemCode, string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'Send the body as application/json.'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['payload_too_large', 'The body may have at most 2 MiB. Send it in smaller parts.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed_json', 'The body is not as long as Content-Length says.'],
  FST_ERR_BAD_URL: ['route_not_found', 'The path cannot be read.'],
}

/** The problem of a request with these fields wrong. */
export function invalidFields(errors: readonly FieldError[]): Problem {
  const [first] = errors
  const detail =
    errors.length === 1 && first ? `${first.path}: ${first.message}` : `${errors.length} fields are not valid.`
  return new Problem('validation_failed', detail, { errors })
}

/** Turns whatever was thrown into the problem that the caller sees. */
export function toProblem(error: unknown, silent: boolean): Problem {
  if (error instanceof Problem) return error
  const { validation, validationContext, code } = error as FastifyError
  if (validation) {
    const part = validationContext ?? 'body'
    if (part === 'body' && validation.some((one) => one.instancePath === '' && one.keyword === 'type')) {
      return new Problem('validation_failed', 'The body has to be a JSON object.', {
        errors: [{ path: '', message: 'It has to be an object.' }],
      })
    }
    return invalidFields(fieldErrors(validation as never, part, silent))
  }
  const known = ofFramework[code ?? '']
  if (known) return new Problem(...known)
  if (isAway(error)) return storeUnavailable(error)
  return new Problem('internal', 'Something went wrong on our side. The log has more under this requestId.')
}

/** Whether the route's answers and logs must not repeat what was sent. */
export function isSilent(request: FastifyRequest): boolean {
  // By the route, not by the URL: one path has many spellings.
  return request.routeOptions.url?.startsWith('/northbound') ?? false
}

export function errorHandler(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const silent = isSilent(request)
  // Nobody hears the answer, and it is no trouble of ours.
  const hungUp = request.raw.destroyed && !request.raw.complete
  if (hungUp) request.log.info({ requestId: request.id }, 'the caller hung up while sending')
  const problem = hungUp ? new Problem('malformed_json', 'The body did not arrive.') : toProblem(error, silent)
  if (problem.code === 'payload_too_large') {
    // Fastify would close the connection now, and who still sends would see a broken pipe and not this answer. The
    // rest is read and dropped instead, for as long as a request may take, also where the client asked to close.
    reply.removeHeader('connection')
    reply.raw.shouldKeepAlive = true
    request.raw.resume()
  }
  if (statusOf[problem.code] >= 500 && !problem.extra.told) {
    const cause = problem.cause ?? error
    // A driver's message can quote values, and on the northbound side those may be what nobody there may see.
    const { message, stack, code } = cause as { message?: string; stack?: string; code?: string }
    const requestId = request.id
    request.log.error(
      silent ? { requestId, code } : { requestId, code, cause: message, ...(problem.code === 'internal' && { stack }) },
      STATUS_CODES[statusOf[problem.code]],
    )
  }
  return sendProblem(reply, problem)
}
