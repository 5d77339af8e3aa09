import { Type } from '@fastify/type-provider-typebox'

/**
 * As Kubernetes has it (admission.k8s.io/v1), and of any shape: every release of Kubernetes adds fields, and a review that is
 * refused for its shape would hold up a node. What it has to have, core/node-review.ts reads.
 */
export const AdmissionReview = Type.Unsafe<unknown>({
  properties: {
    apiVersion: {},
    kind: {},
    request: { description: 'What is asked about: `uid`, `operation`, `object`, …' },
  },
  description: 'An AdmissionReview of `admission.k8s.io/v1`.',
  examples: [
    {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: '4cd1736f-53b5-47e4-b6b2-0352c7c8354c',
        kind: { group: '', version: 'v1', kind: 'Node' },
        resource: { group: '', version: 'v1', resource: 'nodes' },
        subResource: 'status',
        name: 'hamburg-cam-1',
        operation: 'UPDATE',
        dryRun: false,
        object: {
          metadata: {
            name: 'hamburg-cam-1',
            uid: 'affa3be2-6531-4092-a748-292de6a10765',
            labels: { 'node-role.kubernetes.io/edge': '' },
          },
          status: {
            addresses: [
              { type: 'InternalIP', address: '192.168.1.10' },
              { type: 'Hostname', address: 'hamburg-cam-1' },
            ],
          },
        },
      },
    },
  ],
})

export const AdmissionAnswer = Type.Object(
  {
    apiVersion: Type.Literal('admission.k8s.io/v1'),
    kind: Type.Literal('AdmissionReview'),
    response: Type.Object(
      {
        uid: Type.String({ description: 'Of the review; empty, if that has none.' }),
        allowed: Type.Literal(true, { description: 'Whatever the node reports.' }),
        warnings: Type.Optional(Type.Array(Type.String(), { description: '`kubectl` shows them.' })),
        patchType: Type.Optional(Type.Literal('JSONPatch')),
        patch: Type.Optional(
          Type.String({ description: 'A JSON patch (RFC 6902) in Base64, where the hook rewrites.' }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    additionalProperties: false,
    description: 'The answer.',
    examples: [
      {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: {
          uid: '4cd1736f-53b5-47e4-b6b2-0352c7c8354c',
          allowed: true,
          warnings: [
            'edge-ipam: node hamburg-cam-1 reports 192.168.1.10, and its unique IP is 10.213.0.1; join it with that as modules.edged.nodeIP, or readdress it',
          ],
        },
      },
    ],
  },
)
