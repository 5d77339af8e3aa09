import type { V1EndpointSlice, V1Node, V1ObjectMeta, V1Service } from '@kubernetes/client-node'
import { addressOf, formatAddress } from '../core/ip.js'
import type { ClusterNode, Reference } from '../core/pictures.js'
import type { Kind } from './watched.js'

// Which objects are watched, and what of each is kept.

/** A Node, with what an Event about it has to name. */
export type WatchedNode = ClusterNode & { uid: string }

/** @param edgeLabel the label that edge nodes have */
export function nodes(edgeLabel: string): Kind<WatchedNode> {
  return {
    path: '/api/v1/nodes',
    list: (connection, page) => connection.api(connection.kubernetes.CoreV1Api).listNode(page),
    valueOf: ({ metadata, spec, status }: V1Node) => ({
      name: metadata!.name!,
      uid: metadata!.uid!,
      isEdge: Object.hasOwn(metadata!.labels ?? {}, edgeLabel),
      internalIps: (status?.addresses ?? []).flatMap(({ type, address }) =>
        type === 'InternalIP' ? [canonical(address)] : [],
      ),
      podCidrs: spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []),
      machine: {
        machineId: plain(status?.nodeInfo?.machineID),
        systemUuid: plain(status?.nodeInfo?.systemUUID),
        bootId: plain(status?.nodeInfo?.bootID),
      },
    }),
  }
}

/** Those that name addresses of nodes: by external IP, or as a load balancer's. */
export const services: Kind<Reference> = {
  path: '/api/v1/services',
  list: (connection, page) => connection.api(connection.kubernetes.CoreV1Api).listServiceForAllNamespaces(page),
  valueOf: ({ metadata, spec, status }: V1Service) => {
    const named = [
      ...(spec?.externalIPs ?? []),
      ...(status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : [])),
    ]
    if (named.length === 0) return undefined
    return {
      subject: { kind: 'Service', namespace: metadata!.namespace!, name: metadata!.name! },
      writtenAt: writtenAt(metadata!),
      addresses: named.map((address) => ({ address: canonical(address), nodeName: undefined })),
    }
  },
}

/** It follows the Pods of a Service's selector. (The one that mirrors Endpoints follows what people wrote.) */
const BY_SELECTOR = 'endpointslice-controller.k8s.io'

/** Those that people filled. */
export const endpointSlices: Kind<Reference> = {
  path: '/apis/discovery.k8s.io/v1/endpointslices',
  list: (connection, page) =>
    connection.api(connection.kubernetes.DiscoveryV1Api).listEndpointSliceForAllNamespaces(page),
  valueOf: ({ metadata, addressType, endpoints }: V1EndpointSlice) => {
    if (addressType === 'FQDN') return undefined
    if (metadata!.labels?.['endpointslice.kubernetes.io/managed-by'] === BY_SELECTOR) return undefined
    const addresses = (endpoints ?? []).flatMap((endpoint) =>
      endpoint.addresses.map((address) => ({ address: canonical(address), nodeName: endpoint.nodeName })),
    )
    if (addresses.length === 0) return undefined
    return {
      subject: { kind: 'EndpointSlice', namespace: metadata!.namespace!, name: metadata!.name! },
      writtenAt: writtenAt(metadata!),
      addresses,
    }
  },
}

/** By the kube-apiserver's clock, which tells whole seconds: the end of that one, in milliseconds since 1970. */
function writtenAt({ creationTimestamp, managedFields = [] }: V1ObjectMeta): number {
  const times = [creationTimestamp, ...managedFields.map(({ time }) => time)]
  return Math.max(...times.map((time) => Number(time ?? 0))) + 999
}

/** As we write it; what is no address stays as it is, but for what cannot be shown. */
function canonical(text: string): string {
  const address = addressOf(text)
  return address === undefined ? plain(text) : formatAddress(address)
}

/** A device may write anything there: a NUL, which PostgreSQL does not take, or a megabyte. */
function plain(text = ''): string {
  return text.slice(0, 200).replaceAll(/\p{Cc}/gu, '')
}
