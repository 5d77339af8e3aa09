import { type Static, Type } from '@fastify/type-provider-typebox'
import { AllocationState } from './allocation.js'
import { Address, closed, Labels, LabelsPatch, NodeName, nullable, Sequence, Time } from './common.js'

export const Node = Type.Object(
  {
    nodeName: NodeName,
    displayIp: nullable(Type.String()),
    uniqueIp: nullable(Address),
    pool: nullable(Type.String()),
    state: nullable(AllocationState),
    sequence: nullable(Sequence),
    nodeUid: nullable(Type.String()),
    labels: Labels,
    createdAt: Time,
    updatedAt: Time,
  },
  { $id: 'Node', additionalProperties: false, description: 'What a node holds is null where it holds nothing.' },
)
export type Node = Static<typeof Node>

export const NodePatch = Type.Object(
  { displayIp: Type.Optional(nullable(Address)), labels: Type.Optional(nullable(LabelsPatch)) },
  { ...closed, examples: [{ displayIp: '192.168.1.20', labels: { site: 'hamburg-3', spare: null } }] },
)
export type NodePatch = Static<typeof NodePatch>

/** A node as the console's side sees it: `internalIp` is the display IP. The unique IP has no place here. */
export const NorthboundNode = Type.Object(
  {
    name: NodeName,
    internalIp: nullable(Type.String()),
    labels: Labels,
    state: nullable(AllocationState),
    joinedAt: nullable(Time),
  },
  { $id: 'NorthboundNode', additionalProperties: false },
)
export type NorthboundNode = Static<typeof NorthboundNode>
