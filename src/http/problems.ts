import { Type } from '@fastify/type-provider-typebox'
import { ProblemDetails, ref } from '../schemas/common.js'

/** The answers of a route in the document: what it gives when all is well, and the one shape of all that is not. */
export function answers<T extends Record<number, unknown>>(good: T) {
  return {
    ...good,
    default: {
      description: 'A problem: its `code` says which.',
      content: { 'application/problem+json': { schema: ref(ProblemDetails) } },
    },
  }
}

/** An answer of 204: nothing. */
export const Nothing = Type.Null({ description: 'Done.' })
