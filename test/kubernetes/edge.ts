import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { Lab } from './lab.js'

// KubeEdge as the kube-apiserver sees it: edges that report the address in their own configuration, again and again, and a
// cloudcore that takes ConfigUpdateJobs up and has the edges change that configuration.

const jobsPath = '/apis/operations.kubeedge.io/v1alpha2/configupdatejobs'
const finalizer = 'kubeedge.io/configupdatejob-controller'

/**
 * What becomes of a job for an edge. `changes`: it is done, and says so. `stays in progress`: it is done, and nobody says so.
 * `fails`: keadm cannot do it. `ignores`: nobody takes it up. `waits`: it is taken up, and goes on when `release` is called.
 */
export type Manner = 'changes' | 'stays in progress' | 'fails' | 'ignores' | 'waits'

export interface Edge {
  readonly name: string
  /** modules.edged.nodeIP, or what it would find by itself. */
  address: string
  manner: Manner
  /** Its next round does not come yet. */
  asleep: boolean
  /** It reports nothing, and its Node is not Ready. */
  offline: boolean
}

// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
type Job = any

export interface Edges {
  /** Joins an edge, with an address of its own. */
  join(name: string, address: string, manner?: Manner): Promise<Edge>
  /** The edge of a Node that is there already. */
  take(name: string, address: string, manner?: Manner): Edge
  /** Has it go offline, or come back; comes back when its Node says so. */
  offline(edge: Edge, offline: boolean): Promise<void>
  /** Every job that was ever made, in order: its name and its node. */
  readonly made: readonly { name: string; nodeName: string }[]
  /** The jobs that there are, by name, without those that are on their way out. */
  readonly jobs: ReadonlyMap<string, Job>
  /** How many jobs there were at most at a time, without those that were there when it was last asked to forget. */
  readonly mostAtOnce: number
  /** Forgets what was counted so far. */
  recount(): void
  /** Lets those that wait go on. */
  release(): void
  /** The InternalIP of a Node, as the kube-apiserver has it. */
  reported(name: string): Promise<string>
}

/** Has the cluster know ConfigUpdateJobs. */
export async function installJobs(lab: Lab): Promise<void> {
  await lab.kubectl(['apply', '-f', fileURLToPath(new URL('config-update-job.yaml', import.meta.url))])
  await lab.kubectl(['wait', '--for=condition=Established', 'crd/configupdatejobs.operations.kubeedge.io'])
}

/** Starts edges and their cloudcore; they end with the test. `round` is how often (ms) an edge looks at its Node: 10 s in KubeEdge. */
export async function startEdges(
  t: Pick<Test, 'teardown'>,
  lab: Lab,
  { round = 300 }: { round?: number } = {},
): Promise<Edges> {
  const edges = new Map<string, Edge>()
  const made: { name: string; nodeName: string }[] = []
  const jobs = new Map<string, Job>()
  let mostAtOnce = 0
  let before = new Set<string>()
  let waiting: (() => void)[] = []
  const over = new AbortController()

  const take: Edges['take'] = (name, address, manner = 'changes') => {
    const edge: Edge = { name, address, manner, asleep: false, offline: false }
    edges.set(name, edge)
    return edge
  }

  async function roundOf(edge: Edge): Promise<void> {
    if (edge.asleep || edge.offline) return
    const { status, body } = await lab.ask('GET', `/api/v1/nodes/${edge.name}`)
    if (status === 200 && internalIpOf(body) !== edge.address) await report(edge)
  }

  async function report(edge: Edge): Promise<void> {
    await lab.ask('PATCH', `/api/v1/nodes/${edge.name}/status`, {
      status: { addresses: [...addressesOf(edge), { $patch: 'replace' }], conditions: [ready(!edge.offline)] },
    })
  }

  async function tell(job: Job, phase: string, node: object): Promise<void> {
    const [nodeName] = job.spec.nodeNames
    await lab.ask(
      'PATCH',
      `${jobsPath}/${job.metadata.name}/status`,
      { status: { phase, nodeStatus: [{ nodeName, ...node }] } },
      { contentType: 'application/merge-patch+json' },
    )
  }

  /** cloudcore: each job is taken up once. */
  async function takeUp(job: Job): Promise<void> {
    const edge = edges.get(job.spec.nodeNames[0])
    if (!edge || edge.manner === 'ignores') return
    await lab.ask(
      'PATCH',
      `${jobsPath}/${job.metadata.name}`,
      { metadata: { finalizers: [finalizer] } },
      { contentType: 'application/merge-patch+json' },
    )
    if (edge.offline) return tell(job, 'Failure', { phase: 'Failure', reason: 'the node is not ready' })
    await tell(job, 'InProgress', { phase: 'InProgress', actionFlow: [{ action: 'Check', status: 'True' }] })
    if (edge.manner === 'fails') {
      const reason = 'exec: "keadm": executable file not found in $PATH'
      return tell(job, 'Failure', { phase: 'Failure', actionFlow: [{ action: 'BackUp', status: 'False', reason }] })
    }
    if (edge.manner === 'waits') await new Promise<void>((resolve) => waiting.push(resolve))
    edge.address = job.spec.updateFields['modules.edged.nodeIP']
    await report(edge)
    if (edge.manner === 'changes') await tell(job, 'Completed', { phase: 'Successful' })
  }

  function meet({ type, object }: { type: string; object: Job }): void {
    const { name, deletionTimestamp } = object.metadata
    if (type === 'ADDED') {
      made.push({ name, nodeName: object.spec.nodeNames[0] })
      takeUp(object).catch(() => {})
    }
    if (type === 'DELETED' || deletionTimestamp) jobs.delete(name)
    else jobs.set(name, object)
    mostAtOnce = Math.max(mostAtOnce, [...jobs.keys()].filter((one) => !before.has(one)).length)
    if (type !== 'DELETED' && deletionTimestamp && object.metadata.finalizers?.length) {
      const contentType = 'application/merge-patch+json'
      lab.ask('PATCH', `${jobsPath}/${name}`, { metadata: { finalizers: null } }, { contentType }).catch(() => {})
    }
  }

  await watch(lab, over.signal, meet)
  const rounds = (async () => {
    while (!over.signal.aborted) {
      await Promise.all([...edges.values()].map((edge) => roundOf(edge).catch(() => {})))
      await pause(round)
    }
  })()
  t.teardown(async () => {
    over.abort()
    await rounds
  })
  return {
    made,
    jobs,
    get mostAtOnce() {
      return mostAtOnce
    },
    recount() {
      made.length = 0
      mostAtOnce = 0
      before = new Set(jobs.keys())
    },
    release() {
      for (const resolve of waiting) resolve()
      waiting = []
    },
    async join(name, address, manner) {
      const answer = await lab.ask('POST', '/api/v1/nodes', {
        metadata: { name, labels: { 'node-role.kubernetes.io/edge': '' } },
        status: { addresses: addressesOf({ name, address }), conditions: [ready(true)] },
      })
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
      return take(name, address, manner)
    },
    take,
    async offline(edge, offline) {
      edge.offline = offline
      await report(edge)
    },
    async reported(name) {
      return internalIpOf((await lab.ask('GET', `/api/v1/nodes/${name}`)).body)
    },
  }
}

function addressesOf({ name, address }: Pick<Edge, 'name' | 'address'>) {
  return [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: name },
  ]
}

function ready(isReady: boolean) {
  return { type: 'Ready', status: isReady ? 'True' : 'Unknown', reason: 'EdgeReady' }
}

function internalIpOf(node: Job): string {
  return node.status.addresses.find(({ type }: { type: string }) => type === 'InternalIP').address
}

/** Hears of every job from now on, in order, as long as the kube-apiserver stays. */
async function watch(
  lab: Lab,
  signal: AbortSignal,
  meet: (event: { type: string; object: Job }) => void,
): Promise<void> {
  const response = await beginWatch(lab, signal)
  response.on('error', () => {})
  const lines = createInterface({ input: response })
  lines.on('line', (line) => meet(JSON.parse(line)))
  lines.on('error', () => {})
}

/** A kind that is new answers 429 for a moment. */
async function beginWatch(lab: Lab, signal: AbortSignal): Promise<IncomingMessage> {
  for (;;) {
    const { status, body } = await lab.ask('GET', jobsPath)
    if (status === 200) {
      const sent = request(`${lab.url}${jobsPath}?watch=true&resourceVersion=${body.metadata.resourceVersion}`, {
        ca: readFileSync(lab.authority),
        agent: false,
        signal,
        headers: { authorization: `Bearer ${readFileSync(`${lab.kubeconfig}.token`, 'utf8')}` },
      })
      sent.on('error', () => {})
      sent.end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      if (response.statusCode === 200) return response
      response.resume()
    }
    await pause(20)
  }
}
