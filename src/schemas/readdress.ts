import { type Static, Type } from '@fastify/type-provider-typebox'
import { Address, closed, Labels, NodeName, nullable, oneOf, Time } from './common.js'

export const ReaddressState = oneOf(['running', 'stopping', 'stopped', 'done', 'failed'], {
  description:
    '`stopping` begins with no more nodes and finishes those under way; `failed`: it ended, and a node failed; `stopped`: by hand.',
})
export const ReaddressNodeState = oneOf(['waiting', 'running', 'done', 'failed', 'skipped', 'stopped'], {
  description: '`skipped`: at its turn nothing could be made, which is no failure; `stopped`: its turn never came.',
})

const timeoutSeconds = Type.Integer({
  minimum: 1,
  maximum: 86_400,
  description:
    'How long a node may take, from its ConfigUpdateJob on, to report its unique IP. While the kube-apiserver does not answer, no time passes; after 15 minutes of that, in all, the node has failed.',
})
const settleSeconds = Type.Integer({
  minimum: 1,
  maximum: 3_600,
  description:
    'How long it has to go on reporting that: longer than nodeStatusUpdateFrequency in edgecore.yaml, after which an edge replaces an address that is not its own.',
})
const atOnce = Type.Integer({ minimum: 1, maximum: 100, description: 'How many nodes are under way at a time.' })
const stopAfterFailures = Type.Integer({
  minimum: 1,
  maximum: 1_000_000,
  description: 'When so many have failed, no more begin.',
})

export const NodeReaddress = Type.Object(
  {
    timeoutSeconds: Type.Optional({ ...timeoutSeconds, default: 120 }),
    settleSeconds: Type.Optional({ ...settleSeconds, default: 12 }),
  },
  { ...closed, examples: [{ timeoutSeconds: 120 }] },
)
export type NodeReaddress = Static<typeof NodeReaddress>

export const NewReaddress = Type.Object(
  {
    nodeNames: Type.Optional(Type.Array(NodeName, { minItems: 1, maxItems: 5000, description: 'These nodes.' })),
    finding: Type.Optional(
      oneOf(['address_mismatch'], { description: 'Every node whose Node in the cluster reports another address.' }),
    ),
    labels: Type.Optional({ ...Labels, description: 'Those of them that have all of these labels here.' }),
    atOnce: Type.Optional({ ...atOnce, default: 5 }),
    stopAfterFailures: Type.Optional({ ...stopAfterFailures, default: 1 }),
    timeoutSeconds: Type.Optional({ ...timeoutSeconds, default: 120 }),
    settleSeconds: Type.Optional({ ...settleSeconds, default: 12 }),
  },
  {
    ...closed,
    'x-exactly-one': ['nodeNames', 'finding', 'labels'],
    description: 'Exactly one of `nodeNames`, `finding` and `labels` says which nodes.',
    examples: [{ finding: 'address_mismatch', atOnce: 5, stopAfterFailures: 1 }],
  },
)
export type NewReaddress = Static<typeof NewReaddress>

const Count = Type.Integer({ minimum: 0 })

export const Readdress = Type.Object(
  {
    id: nullable(Type.String({ description: 'Null where there was nothing to do, and nothing was made.' })),
    nodeNames: Type.Optional(Type.Array(NodeName, { description: 'Of a dry run: who would be re-addressed.' })),
    state: ReaddressState,
    atOnce,
    stopAfterFailures,
    timeoutSeconds,
    settleSeconds,
    counts: Type.Object(
      { waiting: Count, running: Count, done: Count, failed: Count, skipped: Count, stopped: Count },
      closed,
    ),
    createdBy: Type.String({ description: '`<role>:<token id>`.' }),
    requestId: nullable(Type.String()),
    stoppedBy: nullable(Type.String({ description: 'Who stopped it, if somebody did.' })),
    createdAt: nullable(Time),
    endedAt: nullable(Time),
  },
  {
    $id: 'Readdress',
    additionalProperties: false,
    description: 'A run: nodes whose edgecore is told its unique IP from the cloud, so many at a time.',
    examples: [
      {
        id: '5f0c1a9e3b7d',
        state: 'running',
        atOnce: 5,
        stopAfterFailures: 1,
        timeoutSeconds: 120,
        settleSeconds: 12,
        counts: { waiting: 183, running: 5, done: 12, failed: 0, skipped: 0, stopped: 0 },
        createdBy: 'admin:a3f1c05e9b42',
        requestId: 'V1StGXR8-2s',
        stoppedBy: null,
        createdAt: '2026-11-21T08:30:00.000Z',
        endedAt: null,
      },
    ],
  },
)
export type Readdress = Static<typeof Readdress>

export const ReaddressNode = Type.Object(
  {
    nodeName: NodeName,
    state: ReaddressNodeState,
    message: nullable(Type.String({ description: 'For people: what came of it, or what keeps it from going on.' })),
    uniqueIp: Address,
    reportedIp: nullable(Type.String({ description: 'What it reported when the run was made.' })),
    job: nullable(
      Type.String({
        description:
          'The ConfigUpdateJob, while it is under way or where it is kept: until the node is tried again, or loses its unique IP.',
      }),
    ),
    startedAt: nullable(Time),
    endedAt: nullable(Time),
  },
  {
    $id: 'ReaddressNode',
    additionalProperties: false,
    description: 'A node of a run.',
    examples: [
      {
        nodeName: 'edge-0017',
        state: 'done',
        message: 'It reports 10.213.0.17.',
        uniqueIp: '10.213.0.17',
        reportedIp: '192.168.1.10',
        job: null,
        startedAt: '2026-11-21T08:30:00.000Z',
        endedAt: '2026-11-21T08:30:17.000Z',
      },
    ],
  },
)
export type ReaddressNode = Static<typeof ReaddressNode>
