import { type Static, Type } from '@fastify/type-provider-typebox'
import { Cidr, closed, nullable, oneOf, Text } from './common.js'

const kind = Type.String({
  format: 'text',
  minLength: 1,
  maxLength: 63,
  description: 'What it is for: pod, service, node, docker, …',
})

export const Networks = Type.Object(
  {
    items: Type.Array(Type.Object({ kind, cidr: Cidr, description: Type.Optional(nullable(Text)) }, closed), {
      maxItems: 1000,
    }),
  },
  {
    $id: 'Networks',
    additionalProperties: false,
    description: "The cluster's networks, which no pool may overlap.",
    examples: [
      {
        items: [
          { kind: 'pod', cidr: '10.244.0.0/16' },
          { kind: 'service', cidr: '10.96.0.0/12', description: 'as in kube-apiserver' },
        ],
      },
    ],
  },
)
export type Networks = Static<typeof Networks>

export const DiscoveredNetworks = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          kind: oneOf(['pod', 'service']),
          cidr: Cidr,
          source: oneOf(['Node', 'ServiceCIDR', 'kubeadm'], {
            description: "Where it is written: a Node's `podCIDRs`, a ServiceCIDR, or what kubeadm was told.",
          }),
        },
        closed,
      ),
    ),
  },
  {
    $id: 'DiscoveredNetworks',
    additionalProperties: false,
    description: 'The networks that the cluster tells of. A pool that overlaps one is a finding.',
    examples: [
      {
        items: [
          { kind: 'service', cidr: '10.96.0.0/12', source: 'kubeadm' },
          { kind: 'pod', cidr: '10.244.0.0/22', source: 'Node' },
        ],
      },
    ],
  },
)
export type DiscoveredNetworks = Static<typeof DiscoveredNetworks>
