import type { KubernetesListObject, V1ServiceCIDR } from '@kubernetes/client-node'
import { type Connection, statusOf } from './connection.js'

/** A network that the cluster tells of. */
export interface DiscoveredNetwork {
  kind: 'pod' | 'service'
  cidr: string
  /** Where it was read. */
  source: 'kubeadm' | 'ServiceCIDR'
}

/**
 * What the cluster says of its networks, where it says so: ServiceCIDR objects (Kubernetes 1.33, or 1.31 with a gate) and
 * what kubeadm was told. Either may be missing.
 * @param onUnreadable told of what is not ours to read, or cannot be understood, which counts as missing
 * @throws the client's error, where the kube-apiserver cannot be asked
 */
export async function discoverNetworks(
  connection: Connection,
  onUnreadable: (error: unknown) => void,
): Promise<DiscoveredNetwork[]> {
  const found: DiscoveredNetwork[] = []
  for (const source of [fromServiceCidrs, fromKubeadm]) {
    try {
      found.push(...(await source(connection)))
    } catch (error) {
      if (statusOf(error) !== 403 && !(error instanceof Unreadable)) throw error
      onUnreadable(error)
    }
  }
  return found
}

async function fromServiceCidrs(connection: Connection): Promise<DiscoveredNetwork[]> {
  const { NetworkingV1Api, NetworkingV1beta1Api } = connection.kubernetes
  const list: KubernetesListObject<V1ServiceCIDR> | undefined =
    (await unlessAbsent(() => connection.api(NetworkingV1Api).listServiceCIDR())) ??
    (await unlessAbsent(() => connection.api(NetworkingV1beta1Api).listServiceCIDR()))
  return (list?.items ?? []).flatMap(({ spec }) =>
    (spec?.cidrs ?? []).map((cidr) => ({ kind: 'service' as const, cidr, source: 'ServiceCIDR' as const })),
  )
}

async function fromKubeadm(connection: Connection): Promise<DiscoveredNetwork[]> {
  const { CoreV1Api, loadYaml } = connection.kubernetes
  const found = await unlessAbsent(() =>
    connection.api(CoreV1Api).readNamespacedConfigMap({ namespace: 'kube-system', name: 'kubeadm-config' }),
  )
  const text = found?.data?.ClusterConfiguration
  if (text === undefined) return []
  const { networking } = readYaml(loadYaml<{ networking?: Record<string, unknown> } | undefined>, text) ?? {}
  // Of two families there are two, with a comma between.
  const of = (kind: DiscoveredNetwork['kind'], subnets: unknown = '') =>
    `${subnets}`
      .split(',')
      .filter((cidr) => cidr !== '')
      .map((cidr) => ({ kind, cidr: cidr.trim(), source: 'kubeadm' as const }))
  return [...of('service', networking?.serviceSubnet), ...of('pod', networking?.podSubnet)]
}

/** What people wrote is not what we read. */
class Unreadable extends Error {}

function readYaml<Content>(load: (text: string) => Content, text: string): Content {
  try {
    return load(text)
  } catch (error) {
    throw new Unreadable(`kube-system/kubeadm-config: ${(error as Error).message.split('\n')[0]}`)
  }
}

async function unlessAbsent<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}
