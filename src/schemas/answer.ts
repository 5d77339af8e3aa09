import { type TSchema, Type } from '@fastify/type-provider-typebox'

/** What answers have beside a body. `headers` is for the OpenAPI document alone. */

/** An answer of 204: nothing. */
export const Nothing = Type.Null({ description: 'Done.' })

/** The answer says which version of the thing it is about. */
export function withEtag<T extends object>(answer: T): T {
  const ETag = { type: 'string', pattern: '^"[^"]+"$', description: 'For `If-Match`.' }
  return { ...answer, headers: { ...headersOf(answer), ETag } }
}

/** The answer says where to find what was made. */
export function withLocation<T extends object>(answer: T): T {
  const Location = { type: 'string', format: 'uri-reference', description: 'The path of what was made.' }
  return { ...answer, headers: { ...headersOf(answer), Location } }
}

function headersOf(answer: { headers?: object }): object {
  return answer.headers ?? {}
}

/** JSON, or the bare address and a newline. */
export function jsonOrAddress<T extends TSchema>(schema: T, description: string) {
  return {
    description: `${description} With \`Accept: text/plain\` the bare address and a newline.`,
    content: {
      'application/json': { schema },
      'text/plain': { schema: Type.String({ examples: ['10.213.0.17\n'] }) },
    },
  }
}
