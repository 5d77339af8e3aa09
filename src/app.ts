import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyBaseLogger, LogController } from 'fastify'
import { Problem } from './core/errors.js'
import { guard } from './http/auth.js'
import { BODY_LIMIT, readBodies } from './http/body.js'
import { type Door, keepTo, nothingHere } from './http/doors.js'
import { errorHandler, problemBody, sendProblem } from './http/errors.js'
import { openapi } from './http/openapi.js'
import { requestIdOf } from './http/request-id.js'
import { logRequests } from './http/request-log.js'
import { addressRoutes } from './http/routes/addresses.js'
import { adminRoutes } from './http/routes/admin.js'
import { allocationRoutes } from './http/routes/allocations.js'
import { findingRoutes } from './http/routes/findings.js'
import { healthRoutes } from './http/routes/health.js'
import { hostsRoutes } from './http/routes/hosts.js'
import { networkRoutes } from './http/routes/networks.js'
import { nodeRoutes } from './http/routes/nodes.js'
import { poolRoutes } from './http/routes/pools.js'
import { readdressRoutes } from './http/routes/readdress.js'
import { reclaimRoutes } from './http/routes/reclaim.js'
import type { Services } from './http/services.js'
import { passedFormats, validatorCompiler } from './http/validation.js'
import { cloudcore } from './integrations/cloudcore.js'
import { type HookOptions, nodeHook } from './integrations/hook/plugin.js'
import { joinScript } from './integrations/join/plugin.js'
import { addMetrics, type RequestMetrics } from './integrations/metrics.js'
import { northbound } from './integrations/northbound.js'
import { AddressAt, AuditRow, Token, TokenWithSecret } from './schemas/admin.js'
import { Allocation, AllocationResults, UniqueIp } from './schemas/allocation.js'
import { ProblemDetails } from './schemas/common.js'
import { FindingOnWire } from './schemas/finding.js'
import { DiscoveredNetworks, Networks } from './schemas/network.js'
import { Node, NorthboundNode } from './schemas/node.js'
import { Pool, Reservation, Utilization } from './schemas/pool.js'
import { Readdress, ReaddressNode } from './schemas/readdress.js'
import { Reclaimed } from './schemas/reclaim.js'

/** How long (ms) a request may take to arrive, and how often Node looks. Its own look every 30 s would double the time. */
const timeouts = { headersTimeout: 15_000, requestTimeout: 30_000, connectionsCheckingInterval: 2_000 }

export interface Tls {
  cert: string
  key: string
  /** Callers have to show a certificate of this authority. */
  ca?: string | undefined
}

export interface AppOptions {
  services: Services
  isReady: () => Promise<boolean>
  metrics: RequestMetrics
  hook: Pick<HookOptions, 'policy' | 'known'>
  /** When a node counts as gone (ms), and as one that never came (s). */
  reclaim: { grace: number; neverJoinedAfter: number }
  /** What `GET /v1/hosts` puts after names. */
  hostsSuffix: string
  /** What it serves; everything, if it is not said. */
  door?: Door
  /** With a certificate, in PEM, it speaks HTTPS. */
  tls?: Tls | undefined
  /** Proxies whose word on where a request came from is taken. */
  trustedProxies?: readonly string[]
  /** Without one nothing is logged. */
  log?: FastifyBaseLogger
}

/** The assembly: every room is registered here, in visible order. It listens nowhere yet. */
export async function buildApp(options: AppOptions) {
  const { services, isReady, metrics, hook, reclaim, hostsSuffix, log, door = 'all', tls, trustedProxies } = options
  const app = fastify({
    ...(log && { loggerInstance: log }),
    // Not in the type: fastify's types make the whole app another one with it, which it is not to any route.
    ...({
      [tls ? 'https' : 'http']: {
        ...timeouts,
        ...tls,
        ...(tls?.ca && { requestCert: true, rejectUnauthorized: true }),
      },
    } as object),
    trustProxy: trustedProxies?.length ? [...trustedProxies] : false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: timeouts.requestTimeout,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    requestIdHeader: false,
    genReqId: requestIdOf,
    logController: new LogController({ disableRequestLogging: true }),
    // The serializer checks values of several types, too; formats are for what comes in.
    serializerOpts: { ajv: { formats: passedFormats } },
    // More than Node reads of a request's head: what is too long for a name is then said by the name's own rule.
    routerOptions: { maxParamLength: 64 * 1024 },
    frameworkErrors: (error, request, reply) => errorHandler(error, request as never, reply as never),
    clientErrorHandler: refuseConnection,
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.setErrorHandler(errorHandler)
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, nothingHere()))
  // Hooks that wait for nothing are no promises: each promise would cost every request.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
  readBodies(app)
  logRequests(app)

  for (const schema of [
    ProblemDetails,
    Utilization,
    Reservation,
    Pool,
    Networks,
    DiscoveredNetworks,
    Allocation,
    AllocationResults,
    UniqueIp,
    Node,
    NorthboundNode,
    Token,
    TokenWithSecret,
    AuditRow,
    AddressAt,
    Reclaimed,
    FindingOnWire,
    Readdress,
    ReaddressNode,
  ]) {
    app.addSchema(schema)
  }
  if (door === 'all' || door === 'inside') {
    await app.register(swagger, openapi)
    await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, logLevel: 'warn' })
  }

  const refuseTheRest = keepTo(door, app)
  guard(app, services)
  app.get('/', { config: { access: 'open' }, schema: { hide: true } }, async (_request, reply) =>
    reply.redirect('/docs'),
  )
  app.get(
    '/openapi.json',
    {
      config: { access: 'open' },
      schema: { hide: true, querystring: { type: 'object', additionalProperties: false } },
    },
    async () => app.swagger(),
  )
  addMetrics(app, metrics)
  await app.register(healthRoutes, { isReady })
  await app.register(poolRoutes, { services })
  await app.register(networkRoutes, { services })
  await app.register(allocationRoutes, { services })
  await app.register(nodeRoutes, { services })
  await app.register(hostsRoutes, { services, suffix: hostsSuffix })
  await app.register(addressRoutes, { services })
  await app.register(findingRoutes, { services })
  await app.register(readdressRoutes, { services })
  await app.register(adminRoutes, { services })
  await app.register(reclaimRoutes, { services, rules: reclaim })
  await app.register(cloudcore, { services })
  await app.register(nodeHook, { services, ...hook, count: metrics.review, open: door === 'webhook' })
  await app.register(northbound, { services })
  await app.register(joinScript)
  refuseTheRest()
  return app
}

const wordsOf: Record<string, string> = {
  HPE_HEADER_OVERFLOW: 'The URL and the headers are too long together.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not arrive in time.',
}

/** What is not HTTP gets an answer, too. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // It has its answer, and is still sending.
  if (!socket.writable) return
  // An answer is due to an earlier request that has arrived: words of ours would be read as that answer.
  const { _httpMessage: due } = socket as { _httpMessage?: ServerResponse | null }
  if (due?.req.complete) return void socket.destroy()
  const problem = new Problem('validation_failed', wordsOf[error.code ?? ''] ?? 'The request cannot be read as HTTP.')
  const requestId = requestIdOf({ headers: {} })
  const body = JSON.stringify(problemBody(problem, requestId))
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nx-request-id: ${requestId}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
  // What is still on its way is read and dropped: a connection that is cut before that loses the answer, too.
  socket.resume()
  setTimeout(() => socket.destroy(), 1_000).unref()
}
