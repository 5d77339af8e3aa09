import type { FastifyPluginAsync } from 'fastify'
import { readScript } from './script.js'

/**
 * `GET /join.sh`: the script that a device runs to join with a unique IP. Open without a token, and the same for everybody:
 * nothing is filled in, so nothing in it can be secret. Registration fails if a part is not there, so that a package without
 * it is noticed at the start and not by the first device.
 */
export const joinScript: FastifyPluginAsync = async (app) => {
  const script = await readScript()

  app.get(
    '/join.sh',
    {
      config: { access: 'open', doors: ['join'], problems: ['store_unavailable'] },
      schema: {
        tags: ['join'],
        operationId: 'joinScript',
        summary: 'The join script',
        description:
          'A POSIX shell script that asks for the unique IP of a node (retrying), and runs `keadm join` with it. ' +
          'Fetch and start it with `curl -fsSL --retry 5 --retry-connrefused -o join.sh <server>/join.sh && sh join.sh ' +
          '--server <server> -- <arguments for keadm join>`, with the token in `EDGE_IPAM_TOKEN`; `--help` lists options ' +
          'and exit codes.',
        security: [],
        querystring: { type: 'object', properties: {}, additionalProperties: false },
        response: {
          200: {
            description: 'The script, the same for everybody.',
            content: { 'text/x-shellscript': { schema: { type: 'string', examples: ['#!/bin/sh\nset -eu\n…'] } } },
          },
        },
      },
    },
    // Never from a cache: a device must not join with a script older than the service it talks to.
    async (_request, reply) =>
      reply.header('cache-control', 'no-store').type('text/x-shellscript; charset=utf-8').send(script),
  )
}
