import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Problem } from '../core/errors.js'
import type { Caller, Context } from '../domain/context.js'
import type { TokenRole } from '../store/schema.js'
import type { Services } from './services.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. Each route says so; one that does not is refused at the start. */
    access?: 'open' | readonly TokenRole[]
  }
  interface FastifyRequest {
    caller: Caller | null
  }
}

/** Tokens of Kubernetes have some 1,000 characters. */
const bearer = /^Bearer +([^\s]{1,4096})$/i

/** Lets nobody in whose token the route does not allow, and has each route say whom it allows. */
export function guard(app: FastifyInstance, { authenticator, failures }: Services): void {
  app.decorateRequest('caller', null)
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) throw new Error(`${route.method} ${route.url} says nobody who may call it`)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    const { access } = request.routeOptions.config
    if (access === undefined || access === 'open') return done()
    const secret = bearer.exec(request.headers.authorization ?? '')?.[1]
    const caller = secret === undefined ? null : authenticator.identify(secret, request)
    if (!(caller instanceof Promise)) return done(judge(caller, secret, access, request))
    caller.then((answer) => done(judge(answer, secret, access, request)), done)
  })

  /** @returns why the request is refused; undefined when it is not */
  function judge(
    caller: Caller | null,
    secret: string | undefined,
    access: readonly TokenRole[],
    request: FastifyRequest,
  ): Problem | undefined {
    if (caller) {
      // Known before it is judged: the log says who was refused.
      request.caller = caller
      if (access.includes(caller.role)) return undefined
      return new Problem('forbidden', `The role "${caller.role}" may not do this; it takes ${access.join(' or ')}.`)
    }
    const detail =
      secret === undefined
        ? 'Send the token as "Authorization: Bearer <token>".'
        : 'The token is not known, was revoked, or has expired.'
    return failures.count(request.ip) ?? new Problem('unauthorized', detail)
  }
}

/** What a use case gets of a request. */
export function contextOf(services: Services, request: FastifyRequest): Context {
  if (!request.caller) throw new Error(`${request.routeOptions.url} has no caller`)
  return {
    db: services.db,
    engine: services.engine,
    cluster: services.cluster,
    caller: request.caller,
    requestId: request.id,
    dryRun: (request.query as { dryRun?: boolean }).dryRun === true,
  }
}
