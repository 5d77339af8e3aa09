import type { Lab } from './lab.js'

// What the parts of a cluster do that the lab has not.

/** A Node as cloudcore makes it: first bare, then with the label of edge nodes, then with what the edge reports. */
export async function joinNode(
  lab: Lab,
  name: string,
  address: string,
  { edge = true, podCidr, machine = name }: { edge?: boolean; podCidr?: string; machine?: string } = {},
): Promise<void> {
  const made = await lab.ask('POST', '/api/v1/nodes', {
    metadata: { name },
    ...(podCidr && { spec: { podCIDR: podCidr, podCIDRs: [podCidr] } }),
  })
  if (made.status !== 201) throw new Error(`${name}: ${made.status} ${JSON.stringify(made.body)}`)
  if (edge) {
    await lab.ask('PATCH', `/api/v1/nodes/${name}`, { metadata: { labels: { 'node-role.kubernetes.io/edge': '' } } })
  }
  await reportNode(lab, name, address, machine)
}

/** The Node's status, as the edge reports it. */
export async function reportNode(lab: Lab, name: string, address: string, machine = name): Promise<void> {
  const answer = await lab.ask('PATCH', `/api/v1/nodes/${name}/status`, {
    status: {
      addresses: [{ type: 'InternalIP', address }, { type: 'Hostname', address: name }, { $patch: 'replace' }],
      nodeInfo: {
        machineID: machine,
        systemUUID: `system-of-${machine}`,
        bootID: `boot-of-${machine}`,
        architecture: 'amd64',
        containerRuntimeVersion: '',
        kernelVersion: '',
        kubeProxyVersion: '',
        kubeletVersion: 'v1.31.0-kubeedge-v1.23.0',
        operatingSystem: 'linux',
        osImage: '',
      },
    },
  })
  if (answer.status !== 200) throw new Error(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

export function removeNode(lab: Lab, name: string): Promise<unknown> {
  return lab.ask('DELETE', `/api/v1/nodes/${name}`)
}
