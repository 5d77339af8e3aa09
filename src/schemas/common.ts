import { type Static, type TSchema, Type } from '@fastify/type-provider-typebox'

/**
 * The vocabulary of the wire. One object here is validation, TypeScript type and OpenAPI at once. The `format`s are
 * ours and strict (http/validation.ts); nothing unknown passes, so every object is closed.
 */
export const closed = { additionalProperties: false } as const

/** A schema by name: OpenAPI shows `#/components/schemas/<name>`, TypeScript keeps the type. */
export function ref<T extends TSchema>(schema: T & { $id?: string }) {
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })
}

/** One of a few texts: one schema, so that a wrong one is one error that names them all. */
export function oneOf<const T extends readonly string[]>(values: T, options: { description?: string } = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: values, ...options })
}

export function nullable<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()])
}

export const Address = Type.String({ format: 'address', maxLength: 64, examples: ['10.213.0.17'] })
export const DisplayIp = Type.String({
  format: 'address',
  maxLength: 64,
  description: 'The address that people know. Any is taken, also one that others have.',
  examples: ['192.168.1.10'],
})
export const Cidr = Type.String({ format: 'cidr', maxLength: 64, examples: ['10.213.0.0/16'] })
export const NodeName = Type.String({ format: 'node-name', examples: ['edge-0017'] })
export const PoolName = Type.String({ format: 'pool-name', examples: ['default'] })
export const Time = Type.String({ format: 'date-time', examples: ['2026-11-21T08:30:00.000Z'] })
export const Text = Type.String({ format: 'text', maxLength: 1024 })
export const NodeUid = Type.String({ format: 'text', minLength: 1, maxLength: 253 })
/** How many labels a node may have. */
export const MAX_LABELS = 64

export const Labels = Type.Record(Type.String(), Type.String(), {
  'x-labels': true,
  maxProperties: MAX_LABELS,
  description: 'Labels by the rules of Kubernetes.',
  examples: [{ site: 'hamburg-3' }],
})
export type Labels = Static<typeof Labels>

/** Labels in a PATCH: they merge, and a null takes one away. */
export const LabelsPatch = Type.Record(Type.String(), nullable(Type.String()), {
  'x-labels': true,
  maxProperties: MAX_LABELS,
  description: 'Merged into the labels there are; null removes one.',
})

export const Sequence = Type.Integer({
  minimum: 1,
  description: 'Names one allocation for ever: taken by every new one, never used again.',
})

export const DryRun = Type.Boolean({
  description: 'Answer as if it were done, and keep nothing.',
})
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  cursor: Type.Optional(
    Type.String({ format: 'cursor', maxLength: 2048, description: 'The `nextCursor` of the page before.' }),
  ),
}

/** One page of a list. */
export function page<T extends TSchema>(item: T & { $id?: string }) {
  return Type.Object(
    {
      items: Type.Array(ref(item)),
      nextCursor: nullable(Type.String({ description: 'For `?cursor=`; null on the last page.' })),
    },
    {
      ...closed,
      description: 'One page.',
      examples: [{ items: (item as { examples?: unknown[] }).examples ?? [], nextCursor: null }],
    },
  )
}
export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

export const ifMatchHeader = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description: 'An ETag, several, or `*`: the change is made only if one fits. Weak ones never fit.',
      examples: ['"17"'],
    }),
  ),
})

export const ProblemDetails = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String(),
    requestId: Type.String(),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String(), message: Type.String() }), {
        description:
          'Every field that is wrong: a JSON Pointer into the body, `?name` in the query, `{name}` in the path.',
      }),
    ),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details.' },
)
