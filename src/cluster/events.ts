import { randomBytes } from 'node:crypto'
import type { Connection } from './connection.js'

/** A line of `kubectl describe node`. */
export interface NodeEvent {
  nodeName: string
  /** Of the Node, as it is or was. */
  uid: string
  type: 'Normal' | 'Warning'
  /** In camel case. */
  reason: string
  message: string
}

/** Where Events about things without a namespace are kept. */
const NAMESPACE = 'default'

/** @throws the client's error */
export async function tellOfNode(connection: Connection, event: NodeEvent, at: Date): Promise<void> {
  const { nodeName, uid, type, reason, message } = event
  await connection.api(connection.kubernetes.CoreV1Api).createNamespacedEvent({
    namespace: NAMESPACE,
    body: {
      // As client-go names them: several about one Node in a moment must not be one.
      metadata: { name: `${nodeName}.${randomBytes(8).toString('hex')}`, namespace: NAMESPACE },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name: nodeName, uid },
      type,
      reason,
      message,
      source: { component: 'edge-ipam' },
      reportingComponent: 'edge-ipam',
      reportingInstance: '',
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    },
  })
}
