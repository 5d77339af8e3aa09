import { METHODS } from 'node:http'
import type { FastifyContextConfig, FastifyInstance } from 'fastify'
import { Problem } from '../core/errors.js'
import { sendProblem } from './errors.js'

/**
 * What a listener serves.
 * - `all`: everything, on `PORT`
 * - `inside`: everything but the northbound side, on `PORT` where that side has a listener of its own
 * - `northbound`, `join`: what the role of that name may call, and health
 * - `webhook`: the admission hook alone
 */
export type Door = 'all' | 'inside' | 'northbound' | 'join' | 'webhook'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Routes that are open to everybody name the doors, beside `PORT`, that have them; the others' follow from `access`. */
    doors?: readonly ('northbound' | 'join' | 'webhook')[]
    /** Added for a method that the path does not have. */
    refused?: true
  }
}

function serves(door: Door, { access = [], doors = [], refused }: FastifyContextConfig): boolean {
  if (refused) return false
  if (door === 'all') return true
  if (door === 'inside') return !access.includes('northbound')
  return access === 'open' || door === 'webhook' ? doors.includes(door as 'webhook') : access.includes(door)
}

/**
 * Has the app serve what belongs behind the door: another path is answered 404, another method of a path 405 with
 * `Allow`, both before token and body are looked at. Call it before the routes are added, and what it returns after.
 */
export function keepTo(door: Door, app: FastifyInstance): () => void {
  // Every method that Node reads, so that one which no path has is 405 as well, where there is the path.
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  const known = new Map<string, Set<string>>()
  const served = new Map<string, string[]>()
  app.addHook('onRoute', ({ url, method, config = {} }) => {
    const all = known.get(url) ?? new Set()
    known.set(url, all)
    for (const one of [method].flat()) {
      all.add(one)
      if (serves(door, config)) served.set(url, [...(served.get(url) ?? []), one].sort())
    }
  })
  app.addHook('onRequest', (request, reply, done) => {
    // To the router "/v1/pools/" is a pool without a name.
    const isNameless = lacksName(request.params as Record<string, string>)
    const { url, config } = request.routeOptions
    if (!request.is404 && !isNameless && serves(door, config)) return done()
    const allow = isNameless ? undefined : served.get(url ?? '')
    sendProblem(
      reply,
      allow ? new Problem('method_not_allowed', `It takes ${allow.join(', ')}.`, { allow }) : nothingHere(),
    )
  })
  return () => {
    for (const url of served.keys()) {
      const others = app.supportedMethods.filter((method) => !known.get(url)?.has(method))
      if (others.length === 0) continue
      app.route({
        method: others,
        url,
        config: { access: 'open', refused: true },
        schema: { hide: true },
        handler: async () => {},
      })
    }
  }
}

function lacksName(params: Record<string, string>): boolean {
  for (const name in params) if (params[name] === '' && name !== '*') return true
  return false
}

export function nothingHere(): Problem {
  return new Problem('route_not_found', 'There is nothing at this path. The OpenAPI document lists what there is.')
}
