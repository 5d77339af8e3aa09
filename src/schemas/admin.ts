import { type Static, Type } from '@fastify/type-provider-typebox'
import { AllocationState } from './allocation.js'
import { Address, closed, nullable, oneOf, Text, Time } from './common.js'

export const Role = oneOf(['admin', 'join', 'cloudcore', 'northbound', 'auditor'])

export const NewToken = Type.Object(
  {
    role: Role,
    namePattern: Type.Optional(
      nullable(
        Type.String({
          format: 'glob',
          maxLength: 253,
          description: 'The node names a `join` token is good for: a glob.',
        }),
      ),
    ),
    maxUses: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: 1_000_000_000 }))),
    expiresAt: Type.Optional(nullable(Time)),
    description: Type.Optional(nullable(Text)),
  },
  { ...closed, examples: [{ role: 'join', namePattern: 'hamburg-*' }] },
)
export type NewToken = Static<typeof NewToken>

const token = {
  id: Type.String(),
  role: Role,
  namePattern: nullable(Type.String()),
  maxUses: nullable(Type.Integer({ description: 'How many new allocations it is good for.' })),
  uses: Type.Integer({ description: 'How many it has made; counted where there is a limit.' }),
  expiresAt: nullable(Time),
  description: nullable(Type.String()),
  createdAt: Time,
  lastUsedAt: nullable(Time),
}
export const Token = Type.Object(token, { $id: 'Token', additionalProperties: false })
export type Token = Static<typeof Token>
export const TokenWithSecret = Type.Object(
  { ...token, secret: Type.Optional(Type.String({ description: 'Shown once; stored as a hash.' })) },
  { $id: 'TokenWithSecret', additionalProperties: false },
)
export type TokenWithSecret = Static<typeof TokenWithSecret>

export const AuditRow = Type.Object(
  {
    id: Type.String(),
    at: Time,
    action: Type.String(),
    actor: Type.String({ description: '`<role>:<token id>`, or `system`.' }),
    requestId: nullable(Type.String()),
    nodeName: nullable(Type.String()),
    address: nullable(Type.String()),
    pool: nullable(Type.String()),
    before: nullable(Type.Record(Type.String(), Type.Unknown())),
    after: nullable(Type.Record(Type.String(), Type.Unknown())),
  },
  { $id: 'AuditRow', additionalProperties: false },
)
export type AuditRow = Static<typeof AuditRow>

export const AuditAction = oneOf(
  [
    'pool.created',
    'pool.updated',
    'pool.deleted',
    'reservation.created',
    'reservation.deleted',
    'networks.replaced',
    'allocation.created',
    'allocation.registered',
    'allocation.released',
    'allocation.freed',
    'node.updated',
    'node.reregistered',
    'node.deleted',
    'token.created',
    'token.deleted',
  ],
  { description: 'What was done.' },
)

export const AddressAt = Type.Object(
  {
    address: Address,
    pool: Type.String({ description: 'The pool it lies in, or lay in last.' }),
    at: Time,
    state: Type.Union([AllocationState, Type.Literal('free')]),
    nodeName: nullable(Type.String({ description: 'In quarantine the last holder.' })),
    displayIp: nullable(Type.String()),
    sequence: nullable(Type.Integer()),
    since: nullable(Time),
  },
  { $id: 'AddressAt', additionalProperties: false },
)
export type AddressAt = Static<typeof AddressAt>
