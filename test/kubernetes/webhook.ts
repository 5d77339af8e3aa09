import { readFile } from 'node:fs/promises'
import type { Lab } from './lab.js'

/**
 * Has the kube-apiserver ask a service about each write of a Node, as the deployment has it. It begins to a moment later.
 * @param webhook the service's listener
 * @param authority who signed its certificate: a PEM file
 */
export async function installHook(lab: Lab, webhook: string, authority: string): Promise<void> {
  const made = await lab.ask('POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {
    metadata: { name: 'edge-ipam' },
    webhooks: [
      {
        name: 'nodes.edge-ipam.io',
        admissionReviewVersions: ['v1'],
        clientConfig: {
          url: `${webhook}/hooks/kubernetes/nodes`,
          caBundle: (await readFile(authority)).toString('base64'),
        },
        failurePolicy: 'Ignore',
        timeoutSeconds: 2,
        sideEffects: 'NoneOnDryRun',
        rules: [
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            operations: ['CREATE', 'UPDATE'],
            resources: ['nodes', 'nodes/status'],
          },
        ],
      },
    ],
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
}
