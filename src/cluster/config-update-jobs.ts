import type { JobReport } from '../core/readdress.js'
import { type Asker, statusOf } from './connection.js'

// KubeEdge's ConfigUpdateJob (1.21 and later): cloudcore has the edge write fields into edgecore.yaml and restart.

const kind = { group: 'operations.kubeedge.io', version: 'v1alpha2' }
const jobs = { ...kind, plural: 'configupdatejobs' }

export interface JobWish {
  name: string
  nodeName: string
  uniqueIp: string
  timeoutSeconds: number
}

/** Whether the cluster knows ConfigUpdateJobs. By discovery, which needs no right. @throws what the client throws */
export async function knowsJobs(connection: Asker): Promise<boolean> {
  try {
    const { resources } = await api(connection).getAPIResources(kind)
    return resources.some(({ name }) => name === jobs.plural)
  } catch (error) {
    if (statusOf(error) === 404) return false
    throw error
  }
}

/**
 * Makes a job that has a node's edgecore report this address. The name says which: made again, it is the same one.
 * @throws what the client throws: 404 where the cluster knows no such jobs
 */
export async function makeJob(connection: Asker, { name, nodeName, uniqueIp, timeoutSeconds }: JobWish): Promise<void> {
  const body = {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: 'ConfigUpdateJob',
    metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'edge-ipam' } },
    // One node for each job: what one of them does says nothing of the others.
    spec: { nodeNames: [nodeName], updateFields: { 'modules.edged.nodeIP': uniqueIp }, timeoutSeconds, concurrency: 1 },
  }
  try {
    await api(connection).createClusterCustomObject({ ...jobs, body })
  } catch (error) {
    if (statusOf(error) !== 409) throw error
  }
}

/** How a job is getting on; undefined: there is none. @throws what the client throws */
export async function jobReport(connection: Asker, name: string): Promise<JobReport | undefined> {
  try {
    const { status = {} } = (await api(connection).getClusterCustomObject({ ...jobs, name })) as RawJob
    const [node] = status.nodeStatus ?? []
    const action = node?.actionFlow?.at(-1)
    return {
      phase: status.phase,
      reason: status.reason,
      node: node && { phase: node.phase, reason: node.reason ?? action?.reason, action: action?.action },
    }
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

/** Removes a job, if there is one. cloudcore has a finalizer on it, and lets it go. @throws what the client throws */
export async function removeJob(connection: Asker, name: string): Promise<void> {
  try {
    await api(connection).deleteClusterCustomObject({ ...jobs, name })
  } catch (error) {
    if (statusOf(error) !== 404) throw error
  }
}

function api(connection: Asker) {
  return connection.api(connection.kubernetes.CustomObjectsApi)
}

interface RawJob {
  status?: {
    phase?: string
    reason?: string
    nodeStatus?: { phase?: string; reason?: string; actionFlow?: { action?: string; reason?: string }[] }[]
  }
}
