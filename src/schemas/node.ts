import { type Static, Type } from '@fastify/type-provider-typebox'
import { Address, closed, DisplayIp, Labels, LabelsPatch, NodeName, nullable, oneOf, Sequence, Time } from './common.js'

/** A released node holds nothing: its state is null, and the address it had is what is quarantined. */
export const NodeState = oneOf(['allocated', 'registered'])

export const Node = Type.Object(
  {
    nodeName: NodeName,
    displayIp: nullable(Type.String()),
    uniqueIp: nullable(Address),
    pool: nullable(Type.String()),
    state: nullable(NodeState),
    sequence: nullable(Sequence),
    nodeUid: nullable(Type.String()),
    labels: Labels,
    createdAt: Time,
    updatedAt: Time,
  },
  {
    $id: 'Node',
    additionalProperties: false,
    description: 'A node. What it holds is null where it holds nothing.',
    examples: [
      {
        nodeName: 'edge-0017',
        displayIp: '192.168.1.10',
        uniqueIp: '10.213.0.17',
        pool: 'default',
        state: 'registered',
        sequence: 17,
        nodeUid: '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11',
        labels: { site: 'hamburg-3' },
        createdAt: '2026-11-21T08:30:00.000Z',
        updatedAt: '2026-11-21T08:31:12.000Z',
      },
    ],
  },
)
export type Node = Static<typeof Node>

export const NodePatch = Type.Object(
  { displayIp: Type.Optional(nullable(DisplayIp)), labels: Type.Optional(nullable(LabelsPatch)) },
  { ...closed, examples: [{ displayIp: '192.168.1.20', labels: { site: 'hamburg-3', spare: null } }] },
)
export type NodePatch = Static<typeof NodePatch>

/** A node as the console's side sees it: `internalIp` is the display IP. The unique IP has no place here. */
export const NorthboundNode = Type.Object(
  {
    name: NodeName,
    internalIp: nullable(Type.String()),
    labels: Labels,
    state: nullable(NodeState),
    joinedAt: nullable(Time),
  },
  {
    $id: 'NorthboundNode',
    additionalProperties: false,
    description: 'A node as people know it: `internalIp` is its display IP.',
    examples: [
      {
        name: 'edge-0017',
        internalIp: '192.168.1.10',
        labels: { site: 'hamburg-3' },
        state: 'registered',
        joinedAt: '2026-11-21T08:31:12.000Z',
      },
    ],
  },
)
export type NorthboundNode = Static<typeof NorthboundNode>
