import type { V1ConfigMap } from '@kubernetes/client-node'
import { type Connection, statusOf } from './connection.js'

/** Which ConfigMap is meant. */
export interface ConfigMapName {
  namespace: string
  name: string
}

/**
 * Has one key of a ConfigMap say the text; all else in it stays. Makes the ConfigMap where there is none, and writes nothing
 * where it says so already.
 * @returns whether it was written
 * @throws what statusOf() and wordsOf() tell of; 409 where somebody else was quicker
 */
export async function keepConfigMap(
  connection: Connection,
  { namespace, name }: ConfigMapName,
  key: string,
  text: string,
): Promise<boolean> {
  const api = connection.api(connection.kubernetes.CoreV1Api)
  const marks = { 'app.kubernetes.io/managed-by': 'edge-ipam', 'app.kubernetes.io/part-of': 'edge-ipam' }
  let there: V1ConfigMap
  try {
    there = await api.readNamespacedConfigMap({ namespace, name })
  } catch (error) {
    if (statusOf(error) !== 404) throw error
    const body = { metadata: { namespace, name, labels: marks }, data: { [key]: text } }
    await api.createNamespacedConfigMap({ namespace, body })
    return true
  }
  if (there.data?.[key] === text) return false
  const labels = { ...there.metadata?.labels, ...marks }
  // It has the version that was read: who wrote meanwhile is not written over.
  const body = { ...there, metadata: { ...there.metadata, labels }, data: { ...there.data, [key]: text } }
  await api.replaceNamespacedConfigMap({ namespace, name, body })
  return true
}
