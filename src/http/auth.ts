import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Problem } from '../core/errors.js'
import type { Authenticator } from '../domain/authenticator.js'
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

/** Lets nobody in whose token the route does not allow, and has each route say whom it allows. */
export function guard(app: FastifyInstance, authenticator: Authenticator): void {
  const failures = new FailureLimit()
  app.decorateRequest('caller', null)
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) throw new Error(`${route.method} ${route.url} says nobody who may call it`)
  })
  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config
    if (access === undefined || access === 'open') return
    const [, secret] = /^Bearer +([^\s]{1,512})$/i.exec(request.headers.authorization ?? '') ?? []
    const caller = secret === undefined ? null : await authenticator.identify(secret)
    if (!caller) {
      failures.count(request.ip)
      throw new Problem(
        'unauthorized',
        secret === undefined
          ? 'Send the token as "Authorization: Bearer <token>".'
          : 'The token is not known, was revoked, or has expired.',
      )
    }
    // Known before it is judged: the log says who was refused.
    request.caller = caller
    if (!access.includes(caller.role)) {
      throw new Problem('forbidden', `The role "${caller.role}" may not do this; it takes ${access.join(' or ')}.`)
    }
  })
}

const WINDOW = 60_000
const MOST = 120
const MAX_SOURCES = 10_000

/** Slows down who guesses tokens, by source. It never meets a valid token: only failures come here. */
class FailureLimit {
  readonly #sources = new Map<string, { since: number; failures: number }>()

  /** @throws Problem rate_limited */
  count(source: string): void {
    const now = performance.now()
    let entry = this.#sources.get(source)
    if (!entry || now - entry.since >= WINDOW) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear()
      entry = { since: now, failures: 0 }
      this.#sources.set(source, entry)
    }
    entry.failures++
    if (entry.failures > MOST) {
      throw new Problem('rate_limited', 'Too many requests without a valid token came from here.', {
        retryAfter: Math.ceil((entry.since + WINDOW - now) / 1000),
      })
    }
  }
}

/** What a use case gets of a request. */
export function contextOf(services: Services, request: FastifyRequest): Context {
  if (!request.caller) throw new Error(`${request.routeOptions.url} has no caller`)
  return {
    db: services.db,
    engine: services.engine,
    caller: request.caller,
    requestId: request.id,
    dryRun: (request.query as { dryRun?: boolean }).dryRun === true,
  }
}
