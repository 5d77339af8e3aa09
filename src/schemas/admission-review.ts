import { Type } from '@fastify/type-provider-typebox'

/**
 * As Kubernetes has it (admission.k8s.io/v1), and open: every release of Kubernetes adds fields, and a review that is refused
 * for its shape would hold up a node.
 */
export const AdmissionReview = Type.Object(
  {
    apiVersion: Type.Optional(Type.String()),
    kind: Type.Optional(Type.String()),
    request: Type.Optional(Type.Any({ description: 'What is asked about: `uid`, `operation`, `object`, …' })),
    response: Type.Optional(Type.Any({ description: 'The answer: always `allowed`.' })),
  },
  {
    additionalProperties: true,
    description: 'An AdmissionReview of `admission.k8s.io/v1`.',
  },
)
