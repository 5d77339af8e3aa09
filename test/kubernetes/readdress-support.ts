import type { Test } from 'tap'
import { give } from '../api/support.js'
import { type Service, type ServiceOptions, startService } from '../support/service.js'
import type { Lab } from './lab.js'

/** The rights that re-addressing needs, and no more. */
export const rules = [
  { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list'] },
  { apiGroups: ['operations.kubeedge.io'], resources: ['configupdatejobs'], verbs: ['create', 'get', 'delete'] },
]

/** A kubeconfig of a ServiceAccount that has these rights. */
export async function account(lab: Lab, name: string, allowed: readonly object[] = rules): Promise<string> {
  const token = await lab.tokenOf('edge-ipam', name)
  const group = 'rbac.authorization.k8s.io'
  await lab.ask('POST', `/apis/${group}/v1/clusterroles`, { metadata: { name }, rules: allowed })
  const made = await lab.ask('POST', `/apis/${group}/v1/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', namespace: 'edge-ipam', name }],
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return lab.kubeconfigFor(name, token)
}

/** Gives the account other rights. */
export async function allow(lab: Lab, name: string, allowed: readonly object[]): Promise<void> {
  const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${name}`
  const changed = await lab.ask('PATCH', path, { rules: allowed }, { contentType: 'application/merge-patch+json' })
  if (changed.status !== 200) throw new Error(JSON.stringify(changed.body))
}

/** A service with the cluster at hand. */
export function startWith(
  t: Pick<Test, 'teardown'>,
  kubeconfig: string,
  options: Omit<ServiceOptions, 'env'> = {},
): Promise<Service> {
  return startService(t, { ...options, env: { EDGE_IPAM_KUBERNETES: kubeconfig } })
}

/** An address for a node: its unique IP. */
export async function unique(service: Service, nodeName: string): Promise<string> {
  return (await give(service, nodeName)).uniqueIp
}

/** Waits for a condition, at most a minute. */
export async function eventually<T>(what: string, look: () => Promise<T | false> | T | false): Promise<T> {
  const end = Date.now() + 60_000
  for (;;) {
    const seen = await look()
    if (seen !== false) return seen
    if (Date.now() > end) throw new Error(`not within a minute: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

// biome-ignore lint/suspicious/noExplicitAny: answers of the service
type Run = any

/** Waits until a run has ended. */
export function ended(service: Service, id: string): Promise<Run> {
  return eventually(`run ${id} ends`, async () => {
    const { body } = await service.call('GET', `/v1/readdress/${id}`)
    return body.endedAt !== null && body
  })
}

/** The nodes of a run, by name. */
export async function nodesOf(service: Service, id: string, query = ''): Promise<Record<string, Run>> {
  const { body } = await service.call('GET', `/v1/readdress/${id}/nodes?limit=1000${query}`)
  return Object.fromEntries(body.items.map((item: Run) => [item.nodeName, item]))
}

/** Begins a run, and fails where that does. */
export async function begin(service: Service, path: string, body: object): Promise<Run> {
  const answer = await service.call('POST', path, body)
  if (answer.status !== 202) throw new Error(answer.text)
  return answer.body
}

/** As fast as the stand-in's edges allow; and no machine is so slow that it is late. */
export const quick = { settleSeconds: 1, timeoutSeconds: 300 }
