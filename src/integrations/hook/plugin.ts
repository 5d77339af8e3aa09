import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Problem } from '../../core/errors.js'
import { admit, type NodeReview, type PatchStep, readReview, rewritten, uidOf } from '../../core/node-review.js'
import type { Caller } from '../../domain/context.js'
import type { KnownNodes } from '../../domain/known-nodes.js'
import { observe, type Report, type Seen, type UnknownNodes } from '../../domain/observe.js'
import { readBodiesOfMachines } from '../../http/body.js'
import type { Services } from '../../http/services.js'
import { AdmissionAnswer, AdmissionReview } from '../../schemas/admission-review.js'
import { millisecondsOf } from './duration.js'

/** How the hook behaves. */
export interface HookPolicy {
  mode: 'observe' | 'rewrite'
  unknownNodes: UnknownNodes
  /** The label that edge nodes have. */
  edgeLabel: string
}

/** What became of a review, as the metric counts it. */
export type HookOutcome =
  | 'own'
  | 'another'
  | 'unknown'
  | 'refused'
  | 'passed'
  | 'unreadable'
  | 'late'
  | 'failed'
  | 'unanswered'
  | 'overload'

/** Where the kube-apiserver sends its reviews. */
export const HOOK_PATH = '/hooks/kubernetes/nodes'

export interface HookOptions {
  services: Services
  policy: HookPolicy
  known: KnownNodes
  count: (outcome: HookOutcome) => void
  /** The listener of its own needs no token: who may reach it is decided by the network, or by certificates. */
  open: boolean
}

/** The longest (ms) a review may take where the kube-apiserver does not say; it would wait 10 s and the node with it. */
const PATIENCE = 2_000
/** The answer has to be there when the time is over, not only under way. */
const MARGIN = 0.8

/** On the listener of its own there are no tokens: the audit trail then says that it was the hook. */
const hook: Caller = { role: 'cloudcore', tokenId: 'hook', namePattern: null, limited: false }

/** The admission hook: sees what nodes report when they join and ever after, and never stands in their way. */
export const nodeHook: FastifyPluginAsyncTypebox<HookOptions> = async (app, options) => {
  const { services, policy, known, count } = options
  readBodiesOfMachines(app)
  app.addHook('onError', (_request, _reply, error, done) => {
    // What was refused for its token was no review of the kube-apiserver's.
    if (!(error instanceof Problem && ['unauthorized', 'forbidden', 'rate_limited'].includes(error.code))) {
      count('unanswered')
    }
    done()
  })
  app.post(
    HOOK_PATH,
    {
      config: {
        access: options.open ? 'open' : ['cloudcore', 'admin'],
        ...(options.open && { doors: ['webhook'] as const }),
      },
      schema: {
        tags: ['cloudcore'],
        operationId: 'reviewNode',
        summary: 'The admission hook for nodes (AdmissionReview v1)',
        description:
          'Any JSON is answered 200 and allowed, and nothing in the query is unknown: what cannot be read gets a warning. What ' +
          'is no JSON, or too large, has no uid to answer to, and is an error.',
        querystring: Type.Unsafe<{ timeout?: unknown }>({
          type: 'object',
          properties: { timeout: { description: 'As the kube-apiserver sends it: `2s`. Else it is passed over.' } },
        }),
        body: AdmissionReview,
        response: { 200: AdmissionAnswer },
      },
    },
    async (request) => {
      if (request.body === undefined) throw new Problem('malformed_json', 'There is no body, and so no review.')
      const review = readReview(request.body)
      if (review === undefined) {
        count('unreadable')
        request.log.warn({ requestId: request.id }, 'a review that cannot be read; the node was let pass')
        return admit(uidOf(request.body), {
          warnings: ['edge-ipam: this review could not be read; nothing was looked at'],
        })
      }
      const { warnings, patch, outcome } = await decide(review, request, request.query.timeout)
      count(outcome)
      return admit(review.uid, { warnings, patch })
    },
  )

  async function decide(
    review: NodeReview,
    request: Pick<FastifyRequest, 'id' | 'caller' | 'log'>,
    timeout: unknown,
  ): Promise<{ warnings: string[]; patch: PatchStep[]; outcome: HookOutcome }> {
    const pass = (outcome: HookOutcome, ...warnings: string[]) => ({ warnings, patch: [], outcome })
    const isEdge = Object.hasOwn(review.labels, policy.edgeLabel)
    // The request that creates a node has no labels yet: there only those are looked at that hold something.
    const unlabelled = review.operation === 'CREATE' && Object.keys(review.labels).length === 0
    if (!isEdge && !unlabelled) return pass('passed')
    const report: Report = {
      name: review.name,
      nodeUid: review.nodeUid,
      addresses: review.addresses.flatMap(({ internalIp }) => internalIp ?? []),
      labels: review.labels,
    }
    const unknown = isEdge ? policy.unknownNodes : 'ignore'
    const rewrites = policy.mode === 'rewrite'
    const isRemembered = !review.dryRun && !unlabelled
    let seen: Seen | undefined
    try {
      seen = isRemembered ? known.recall(report) : undefined
      if (seen === undefined) {
        const context = { ...services, caller: request.caller ?? hook, requestId: request.id, dryRun: review.dryRun }
        const look = () => observe(context, report, { unknown, rewrites })
        const patience = Math.min(millisecondsOf(timeout) ?? PATIENCE, PATIENCE) * MARGIN
        seen = await within(patience, isRemembered ? known.learn(report, look) : look())
      }
    } catch (error) {
      if (error instanceof Problem && error.code !== 'store_unavailable') {
        return pass('refused', `edge-ipam: nothing could be done for node ${review.name}: ${error.detail}`)
      }
      const cause = error instanceof Problem ? error.detail : 'of an error of its own'
      request.log.warn({ requestId: request.id, cause: (error as Error).message }, 'the hook let a node pass unseen')
      return pass('failed', `edge-ipam: the node was not looked at: ${cause}`)
    }
    if (seen === undefined) return pass('late', 'edge-ipam: the node was not looked at: that took too long')
    const { uniqueIp, reports } = seen
    if (uniqueIp === null) {
      return unknown === 'warn'
        ? pass(
            'unknown',
            `edge-ipam: nobody announced node ${review.name}; allocate for it, and join it with its unique IP`,
          )
        : pass(unlabelled ? 'passed' : 'unknown')
    }
    if (reports === 'nothing') return pass('passed')
    if (reports === 'its own') return pass('own')
    if (rewrites) {
      const patch = review.setsStatus ? rewritten(review.addresses, uniqueIp) : []
      return { warnings: [], patch, outcome: 'another' }
    }
    return pass(
      'another',
      `edge-ipam: node ${review.name} reports ${report.addresses[0]}, and its unique IP is ${uniqueIp}; ` +
        'join it with that as modules.edged.nodeIP, or readdress it',
    )
  }
}

/** What the promise resolves with, or undefined when the time is over; what it does goes on. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    promise.catch(() => {})
  }
}
