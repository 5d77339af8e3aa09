import { type Static, Type } from '@fastify/type-provider-typebox'
import { nullable, oneOf, Time } from './common.js'

export const FindingKind = oneOf(
  [
    'address_mismatch',
    'unknown_node',
    'node_gone',
    'never_joined',
    'duplicate_internal_ip',
    'name_claimed_twice',
    'suspicious_address',
    'network_overlap',
    'stale_reference',
    'hosts_too_large',
  ],
  { description: 'What does not fit together.' },
)

export const FindingOnWire = Type.Object(
  {
    id: Type.String(),
    kind: FindingKind,
    subject: Type.Object(
      {
        kind: oneOf(['Node', 'Pool', 'Service', 'EndpointSlice', 'ConfigMap']),
        namespace: Type.String({ description: 'Empty for what has none.' }),
        name: Type.String(),
      },
      { additionalProperties: false, description: 'What it is about.' },
    ),
    nodeName: nullable(Type.String({ description: 'The subject, where that is a node.' })),
    message: Type.String({ description: 'For people: what is wrong, and the way out.' }),
    since: Time,
    lastSeen: Type.String({
      format: 'date-time',
      description: 'The last look at the cluster that found it.',
      examples: ['2026-11-21T09:00:00.000Z'],
    }),
    resolvedAt: nullable(
      Type.String({
        format: 'date-time',
        description: 'When its cause was gone; null: it is open.',
        examples: ['2026-11-21T09:00:30.000Z'],
      }),
    ),
  },
  {
    $id: 'Finding',
    additionalProperties: false,
    description: 'Something that does not fit together between the cluster and what is allocated.',
    examples: [
      {
        id: '42',
        kind: 'address_mismatch',
        subject: { kind: 'Node', namespace: '', name: 'edge-0017' },
        nodeName: 'edge-0017',
        message:
          'Its InternalIP is 192.168.1.10, and its unique IP is 10.213.0.17. Readdress it, or join it again with that.',
        since: '2026-11-21T08:30:00.000Z',
        lastSeen: '2026-11-21T09:00:00.000Z',
        resolvedAt: null,
      },
    ],
  },
)
export type FindingOnWire = Static<typeof FindingOnWire>
