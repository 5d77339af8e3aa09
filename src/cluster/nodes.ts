import { type Connection, isNotFound } from './connection.js'

/**
 * Whether the cluster has a Node of this name now, by the kube-apiserver's own word.
 * @returns undefined where it cannot be asked
 */
export async function hasNode(connection: Connection, name: string): Promise<boolean | undefined> {
  try {
    await connection.api(connection.kubernetes.CoreV1Api, { patience: 2_000 }).readNode({ name })
    return true
  } catch (error) {
    return isNotFound(error, 'nodes') ? false : undefined
  }
}
