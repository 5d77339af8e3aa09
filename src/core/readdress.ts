// Re-addressing a node from the cloud: what comes next for one that is under way, by what is seen of it. Pure.

/** `stopping`: nobody begins any more, and who has begun is finished. */
export type ReaddressState = 'running' | 'stopping' | 'stopped' | 'done' | 'failed'
/** `skipped`: when its turn came there was nothing that could be made; no failure. `stopped`: its turn never came. */
export type ReaddressNodeState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped' | 'stopped'

/** What a Node in the cluster says of itself. */
export interface NodeReport {
  name: string
  isReady: boolean
  /** Canonical. */
  internalIps: readonly string[]
}

/** A node that is under way, as it is stored. */
export interface UnderWay {
  nodeName: string
  uniqueIp: string
  /** What it holds now; null: nothing. */
  held: string | null
  jobMade: boolean
  /** Every look at it so far, back to one or more, met its unique IP. */
  reportsUnique: boolean
  /** ... and so for longer than the edge needs to put its own address back. */
  settled: boolean
  /** Its job has had the time it may have. */
  late: boolean
}

export type Step =
  | { do: 'wait' }
  | { do: 'make job' }
  /** Remember that it reports its unique IP, or that it no longer does. */
  | { do: 'note'; reportsUnique: boolean }
  /** It is over, and its job is of no use any more. */
  | { do: 'end'; state: 'done' | 'skipped' | 'failed'; message: string }
  /** It has taken too long: the job may say why, and is kept for people to look at. */
  | { do: 'give up' }

/** For so long (s), in all, nothing may be seen of a node; meanwhile its own time does not pass. */
export const UNSEEN_SECONDS = 900

/**
 * What to do next. The Node's own report alone decides, never the job: a job can stay in progress though all is done. And
 * one report is not enough: an address that anybody else wrote there, the edge replaces by its own at its next round.
 * @param seen undefined: the cluster has no such Node
 */
export function nextStep(row: UnderWay, seen: NodeReport | undefined): Step {
  if (row.held !== row.uniqueIp) {
    if (row.jobMade) return { do: 'end', state: 'failed', message: releasedMeanwhile(row) }
    return { do: 'end', state: 'skipped', message: `It holds ${row.uniqueIp} no more.` }
  }
  if (seen === undefined) {
    const state = row.jobMade ? 'failed' : 'skipped'
    return { do: 'end', state, message: 'The Node is no longer in the cluster.' }
  }
  if (seen.internalIps.includes(row.uniqueIp)) {
    if (!row.reportsUnique) return { do: 'note', reportsUnique: true }
    return row.settled ? { do: 'end', state: 'done', message: `It reports ${row.uniqueIp}.` } : { do: 'wait' }
  }
  if (row.reportsUnique) return { do: 'note', reportsUnique: false }
  if (row.jobMade) return { do: row.late ? 'give up' : 'wait' }
  if (seen.isReady) return { do: 'make job' }
  return {
    do: 'end',
    state: 'skipped',
    message: 'It is not Ready, and KubeEdge changes Ready nodes only. Nothing was made; do it when it is back.',
  }
}

function releasedMeanwhile({ uniqueIp, held }: UnderWay): string {
  const now = held === null ? 'it holds nothing' : `it holds ${held}`
  return `${uniqueIp} was taken from it while it was being set, and now ${now}: its edgecore may report an address of somebody else's.`
}

/** What a ConfigUpdateJob tells of its one node. Everything may be missing. */
export interface JobReport {
  phase?: string | undefined
  reason?: string | undefined
  node?: { phase?: string | undefined; reason?: string | undefined; action?: string | undefined } | undefined
}

/**
 * Why a node did not come to report its unique IP, as far as can be told, and what to look at.
 * @param job undefined: it is gone, or cannot be read
 */
export function whyLate(
  row: { uniqueIp: string; jobName: string; timeoutSeconds: number },
  seen: NodeReport,
  job: JobReport | undefined,
): string {
  const reports = seen.internalIps.join(', ') || 'no InternalIP'
  return [
    `After ${row.timeoutSeconds} s it reports ${reports}, not ${row.uniqueIp}.`,
    ...(seen.isReady ? [] : ['The node is not Ready.']),
    `${toldBy(row.jobName, job)}${lookAt(job)}`,
  ].join(' ')
}

function toldBy(name: string, job: JobReport | undefined): string {
  if (job === undefined) return `ConfigUpdateJob ${name} is gone, or cannot be read. `
  const { phase, reason, node } = job
  const parts = [
    phase || 'no phase',
    node?.phase && `the node's part ${node.phase}`,
    node?.action && `last action ${node.action}`,
    node?.reason ?? reason,
  ]
  return `ConfigUpdateJob ${name}: ${parts.filter(Boolean).join(', ')}. `
}

function lookAt(job: JobReport | undefined): string {
  if (!job?.phase) {
    return 'Nobody took the job up: look whether controllermanager runs, and whether taskManager is on in cloudcore.'
  }
  const { node } = job
  if (job.phase === 'Failure' || node?.phase === 'Failure' || node?.phase === 'Unknown') {
    return "Look at edgecore's log on the node, whether taskManager is on in edgecore.yaml, and whether keadm and systemd are there."
  }
  if (job.phase === 'Completed') {
    return 'Look on the node whether modules.edged.nodeIP is in edgecore.yaml, whether edgecore came up again, and whether modules.edged.customInterfaceName is in the way.'
  }
  return 'Look whether taskManager is on in cloudcore and in edgecore.yaml, and whether keadm and systemd are on the node.'
}

/** Why a node of which nothing was seen for too long is given up, and what to look at. @param trouble what was met last */
export function whyUnseen(trouble: string): string {
  return [
    `For ${UNSEEN_SECONDS} s in all nothing could be seen of it, and it may have changed all the same.`,
    'Look whether the kube-apiserver answers this service, and lets it get nodes and configupdatejobs.',
    trouble,
  ].join(' ')
}

/** The name of a node's ConfigUpdateJob: the same whoever makes it, and however often. */
export function jobNameOf(runId: string, position: number): string {
  return `edge-ipam-${runId}-${position}`
}
