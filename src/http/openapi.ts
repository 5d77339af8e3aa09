import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'

/** The head of the OpenAPI document; the rest is made from the routes' schemas. */
export const openapi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'edge-ipam',
      description: 'Cluster-unique IP addresses for KubeEdge edge nodes.',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'allocations', description: 'Give a node its unique IP, and take it back' },
      { name: 'cloudcore', description: 'The unique IP by node name' },
      { name: 'nodes', description: 'What is known of the nodes' },
      { name: 'northbound', description: "The console's side: display IPs only" },
      { name: 'pools', description: 'Where addresses come from' },
      { name: 'audit', description: 'What happened' },
      { name: 'tokens', description: 'Who may do what' },
      { name: 'join', description: 'For the device that joins' },
      { name: 'health' },
    ],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
  },
  refResolver: {
    buildLocalReference: (schema, _base, _fragment, index) => (schema.$id as string | undefined) ?? `model-${index}`,
  },
}
