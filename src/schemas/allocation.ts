import { type Static, Type } from '@fastify/type-provider-typebox'
import {
  Address,
  closed,
  DisplayIp,
  Labels,
  NodeName,
  NodeUid,
  nullable,
  oneOf,
  PoolName,
  ProblemDetails,
  ref,
  Sequence,
  Time,
} from './common.js'

export const AllocationState = oneOf(['allocated', 'registered', 'quarantined'])

export const NewAllocation = Type.Object(
  {
    nodeName: NodeName,
    displayIp: Type.Optional(nullable(DisplayIp)),
    pool: Type.Optional(PoolName),
    address: Type.Optional(Address),
    nodeUid: Type.Optional(nullable(NodeUid)),
    labels: Type.Optional(nullable(Labels)),
  },
  { ...closed, examples: [{ nodeName: 'edge-0017', displayIp: '192.168.1.10', labels: { site: 'hamburg-3' } }] },
)
export type NewAllocation = Static<typeof NewAllocation>

const example = {
  nodeName: 'edge-0017',
  uniqueIp: '10.213.0.17',
  displayIp: '192.168.1.10',
  pool: 'default',
  state: 'allocated',
  sequence: 17,
  nodeUid: null,
  labels: { site: 'hamburg-3' },
  allocatedAt: '2026-11-21T08:30:00.000Z',
  registeredAt: null,
  quarantinedUntil: null,
}
export const Allocation = Type.Object(
  {
    nodeName: NodeName,
    uniqueIp: Address,
    displayIp: nullable(Type.String()),
    pool: PoolName,
    state: AllocationState,
    sequence: Sequence,
    nodeUid: nullable(Type.String()),
    labels: Labels,
    allocatedAt: Time,
    registeredAt: nullable(Time),
    quarantinedUntil: nullable(Time),
  },
  {
    $id: 'Allocation',
    additionalProperties: false,
    description: 'An address and the node that holds it, or held it last.',
    examples: [example],
  },
)
export type Allocation = Static<typeof Allocation>

export const UniqueIp = Type.Object(
  { nodeName: NodeName, uniqueIp: Address, sequence: Sequence },
  {
    $id: 'UniqueIp',
    additionalProperties: false,
    description: 'The unique IP of a node.',
    examples: [{ nodeName: 'edge-0017', uniqueIp: '10.213.0.17', sequence: 17 }],
  },
)
export type UniqueIp = Static<typeof UniqueIp>

export const Registration = Type.Object(
  { nodeUid: Type.Optional(nullable(NodeUid)), reportedIp: Type.Optional(nullable(Address)) },
  { ...closed, examples: [{ nodeUid: '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11', reportedIp: '10.213.0.17' }] },
)
export type Registration = Static<typeof Registration>

export const AllocationBatch = Type.Object(
  {
    items: Type.Array(Type.Unknown({ description: 'Each as for one allocation.' }), { minItems: 1, maxItems: 1000 }),
    atomic: Type.Optional(Type.Boolean({ description: 'All or none.' })),
  },
  { ...closed, examples: [{ items: [{ nodeName: 'edge-0017' }, { nodeName: 'edge-0018' }], atomic: true }] },
)

export const AllocationResults = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          status: Type.Integer({ description: '200, 201, or the status of the problem.' }),
          allocation: Type.Optional(ref(Allocation)),
          problem: Type.Optional(ref(ProblemDetails)),
        },
        closed,
      ),
      { description: 'In the order of the items.' },
    ),
  },
  {
    $id: 'AllocationResults',
    additionalProperties: false,
    description: 'What became of each item, as if it had come by itself.',
    examples: [
      {
        results: [
          { status: 201, allocation: example },
          {
            status: 409,
            problem: {
              type: 'urn:edge-ipam:problem:pool_exhausted',
              title: 'The pool is full',
              status: 409,
              detail: 'No address is free. Add a pool, or release what is not needed; then ask again.',
              code: 'pool_exhausted',
              requestId: 'V1StGXR8-2s',
            },
          },
        ],
      },
    ],
  },
)
