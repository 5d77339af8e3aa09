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
  { ...closed, examples: [{ role: 'join', namePattern: 'hamburg-*', maxUses: 50, expiresAt: '2026-12-31T00:00:00Z' }] },
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
const example = {
  id: 'a3f1c05e9b42',
  role: 'join',
  namePattern: 'hamburg-*',
  maxUses: 50,
  uses: 0,
  expiresAt: '2026-12-31T00:00:00.000Z',
  description: null,
  createdAt: '2026-11-21T08:30:00.000Z',
  lastUsedAt: null,
}
export const Token = Type.Object(token, {
  $id: 'Token',
  additionalProperties: false,
  description: 'A token, without its secret.',
  examples: [example],
})
export type Token = Static<typeof Token>
export const TokenWithSecret = Type.Object(
  { ...token, secret: Type.Optional(Type.String({ description: 'Shown once; stored as a hash.' })) },
  {
    $id: 'TokenWithSecret',
    additionalProperties: false,
    description: 'A token with its secret, which is told this once; of a dry run there is none.',
    examples: [{ ...example, secret: 'eipam_aGVyZS1pcy1hLXNlY3JldC1mb3ItdGhlLWRvY3VtZW50' }],
  },
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
  {
    $id: 'AuditRow',
    additionalProperties: false,
    description: 'One change: who made it, when, and what it made of what.',
    examples: [
      {
        id: '4711',
        at: '2026-11-21T08:30:00.000Z',
        action: 'allocation.created',
        actor: 'join:a3f1c05e9b42',
        requestId: 'V1StGXR8-2s',
        nodeName: 'edge-0017',
        address: '10.213.0.17',
        pool: 'default',
        before: null,
        after: { displayIp: '192.168.1.10', sequence: 17 },
      },
    ],
  },
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
    pool: Type.String({
      description: 'The pool that it was handed out of; where nobody held it, the one it lies in now, or lay in last.',
    }),
    at: Time,
    state: Type.Union([AllocationState, Type.Literal('free')]),
    nodeName: nullable(Type.String({ description: 'In quarantine the last holder.' })),
    displayIp: nullable(Type.String()),
    sequence: nullable(Type.Integer()),
    since: nullable(Time),
  },
  {
    $id: 'AddressAt',
    additionalProperties: false,
    description: 'Who held an address at an instant.',
    examples: [
      {
        address: '10.213.0.17',
        pool: 'default',
        at: '2026-11-21T09:00:00.000Z',
        state: 'registered',
        nodeName: 'edge-0017',
        displayIp: '192.168.1.10',
        sequence: 17,
        since: '2026-11-21T08:30:00.000Z',
      },
    ],
  },
)
export type AddressAt = Static<typeof AddressAt>
