import { type Static, Type } from '@fastify/type-provider-typebox'
import { Address, NodeName, nullable, oneOf, PoolName } from './common.js'

export const ReclaimWish = Type.Object(
  {
    kind: oneOf(['node_gone', 'never_joined'], {
      description: 'Nodes that are gone from the cluster, or those that were allocated an address and never came.',
    }),
    pool: Type.Optional(PoolName),
    nodeNames: Type.Optional(Type.Array(NodeName, { minItems: 1, maxItems: 1000, uniqueItems: true })),
  },
  {
    additionalProperties: false,
    description: 'Whose addresses are to be released: all of the kind, those of a pool, or these.',
    examples: [{ kind: 'node_gone', pool: 'default' }],
  },
)
export type ReclaimWish = Static<typeof ReclaimWish>

export const Reclaimed = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          nodeName: NodeName,
          uniqueIp: nullable(Address),
          pool: nullable(PoolName),
          released: Type.Boolean(),
          reason: nullable(Type.String({ description: 'Why it was not.' })),
        },
        { additionalProperties: false },
      ),
    ),
    left: Type.Integer({ minimum: 0, description: 'How many more there are: send the request again.' }),
  },
  {
    $id: 'Reclaimed',
    additionalProperties: false,
    description: 'What became of each of them.',
    examples: [
      {
        items: [{ nodeName: 'edge-0017', uniqueIp: '10.213.0.17', pool: 'default', released: true, reason: null }],
        left: 0,
      },
    ],
  },
)
