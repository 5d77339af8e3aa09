import { recording } from '../hook/support.js'
import type { AskOptions, Lab } from './lab.js'

// cloudcore as the kube-apiserver sees it: each request that it makes for an edge node, in its order, with the bodies of the
// recordings.

const recorded = recording('registration').map(({ request }) => request.object)
const [created, labelled] = recorded
const ready = recorded.at(-1)
/** Where cloudcore answers for a kubelet. */
const TUNNEL_PORT = 10351

export interface Cloudcore {
  /** As the audit log names it. */
  readonly user: string
  /** An edge registers for the first time, with this address, and its tunnel comes up. */
  register(name: string, address: string): Promise<void>
  /** An edge's status, as it comes every five minutes when nothing is new. */
  beat(name: string): Promise<void>
  /** An edgecore starts again, and has another address than before. */
  restart(name: string, address: string): Promise<void>
}

/** A cloudcore with the rights that it has in a cluster. Its functions reject with any answer that it would take for trouble. */
export async function startCloudcore(lab: Lab, options: Pick<AskOptions, 'agent'> = {}): Promise<Cloudcore> {
  const token = await lab.tokenOf('kubeedge', 'cloudcore')
  await lab.kubectl([
    'create',
    'clusterrole',
    'cloudcore',
    '--verb=get,create,patch,update',
    '--resource=nodes,nodes/status',
  ])
  await lab.kubectl([
    'create',
    'clusterrolebinding',
    'cloudcore',
    '--clusterrole=cloudcore',
    '--serviceaccount=kubeedge:cloudcore',
  ])

  /** The object of the answer, which has to have this status. */
  async function ask(method: string, path: string, status: number, body?: unknown) {
    const answer = await lab.ask(method, `/api/v1/nodes${path}`, body, { token, ...options })
    if (answer.status !== status) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    }
    return answer.body
  }

  return {
    user: 'system:serviceaccount:kubeedge:cloudcore',
    async register(name, address) {
      await ask('GET', `/${name}`, 404)
      await ask('POST', '', 201, nodeOf(name, address))
      await ask('PATCH', `/${name}`, 200, { metadata: { labels: labelsOf(name) } })
      await ask('PATCH', `/${name}/status`, 200, { status: {} })
      await ask('PATCH', `/${name}/status`, 200, { status: { conditions: ready.status.conditions } })
      const node = await ask('GET', `/${name}`, 200)
      node.status.daemonEndpoints.kubeletEndpoint.Port = TUNNEL_PORT
      await ask('PUT', `/${name}/status`, 200, node)
    },
    async beat(name) {
      await ask('PATCH', `/${name}/status`, 200, { status: { conditions: conditionsNow() } })
    },
    async restart(name, address) {
      await ask('POST', '', 409, nodeOf(name, address))
      const addresses = [...addressesOf(name, address), { $patch: 'replace' }]
      await ask('PATCH', `/${name}/status`, 200, { status: { conditions: conditionsNow(), addresses } })
    },
  }
}

function nodeOf(name: string, address: string) {
  const { annotations } = created.metadata
  const nodeInfo = {
    ...created.status.nodeInfo,
    machineID: `machine-of-${name}`,
    systemUUID: `system-of-${name}`,
    bootID: `boot-of-${name}`,
  }
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: { name, annotations },
    spec: created.spec,
    status: { ...created.status, addresses: addressesOf(name, address), nodeInfo },
  }
}

/** A Node as it is when its edge has joined, in one piece. */
export function joinedNode(name: string, address: string): object {
  const { metadata, status, ...node } = nodeOf(name, address)
  return {
    ...node,
    metadata: { ...metadata, labels: labelsOf(name) },
    status: {
      ...status,
      conditions: ready.status.conditions,
      daemonEndpoints: { kubeletEndpoint: { Port: TUNNEL_PORT } },
    },
  }
}

function labelsOf(name: string): object {
  return { ...labelled.metadata.labels, 'kubernetes.io/hostname': name }
}

function addressesOf(name: string, address: string) {
  return [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: name },
  ]
}

function conditionsNow() {
  const lastHeartbeatTime = new Date().toISOString().replace(/\.\d+/, '')
  return ready.status.conditions.map((one: object) => ({ ...one, lastHeartbeatTime }))
}
