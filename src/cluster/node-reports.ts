import type { V1Node } from '@kubernetes/client-node'
import { addressOf, formatAddress } from '../core/ip.js'
import type { NodeReport } from '../core/readdress.js'
import { type Asker, isNotFound } from './connection.js'

/** How many Nodes are asked for at a time: one is about 20 KB. */
const PAGE = 250

/** What a Node says of itself; undefined: there is none. @throws what the client throws */
export async function nodeReport(connection: Asker, name: string): Promise<NodeReport | undefined> {
  try {
    return toReport(await connection.api(connection.kubernetes.CoreV1Api).readNode({ name }))
  } catch (error) {
    if (isNotFound(error, 'nodes')) return undefined
    throw error
  }
}

/** What all Nodes say of themselves, by name. @throws what the client throws */
export async function nodeReports(connection: Asker): Promise<Map<string, NodeReport>> {
  const api = connection.api(connection.kubernetes.CoreV1Api)
  const reports = new Map<string, NodeReport>()
  let next: string | undefined
  do {
    const { items, metadata } = await api.listNode({ limit: PAGE, ...(next && { _continue: next }) })
    for (const node of items) {
      const report = toReport(node)
      reports.set(report.name, report)
    }
    next = metadata?._continue
  } while (next)
  return reports
}

function toReport({ metadata, status }: V1Node): NodeReport {
  return {
    name: metadata!.name!,
    isReady: status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
    internalIps: (status?.addresses ?? []).flatMap(({ type, address }) => (type === 'InternalIP' ? read(address) : [])),
  }
}

/** Kubernetes takes any text as a node's address. */
function read(text: string): string[] {
  const address = addressOf(text)
  return address === undefined ? [] : [formatAddress(address)]
}
