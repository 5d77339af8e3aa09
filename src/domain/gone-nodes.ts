import { hasNode } from '../cluster/nodes.js'
import { Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import { type Gone, planReclaim, type ReclaimPlan, type ReclaimRules } from '../core/reclaim.js'
import { goneNodes, heldByPool, neverJoined } from '../store/gone.js'
import { type Release, releaseTogether } from '../store/releases.js'
import { transaction, withRetries } from '../store/transaction.js'
import type { Context } from './context.js'

/** What became of one of them. */
export interface Reclaimed {
  nodeName: string
  uniqueIp: string
  pool: string
  released: boolean
  /** Why not; null when it was. */
  reason: string | null
}

/** The most that one request releases: the kube-apiserver is asked about each. */
const MOST = 200

type Signature = Pick<Release, 'actor' | 'requestId'>

/** Who is gone, and may be released by these rules, as far as the database knows. @throws Problem store_unavailable */
export function planNow({ db }: Pick<Context, 'db'>, rules: ReclaimRules): Promise<ReclaimPlan> {
  return withRetries(async () => planReclaim(await goneNodes(db), await heldByPool(db), rules))
}

/**
 * Releases what is gone: each is looked for in the cluster once more, right before. As soon as the kube-apiserver does not
 * answer, everything else is left as it is. Exactly the allocations that were found are released, never a later one.
 * @throws Problem store_unavailable
 */
export async function releaseGone(
  context: Pick<Context, 'db' | 'engine' | 'cluster' | 'dryRun'>,
  gone: readonly Gone[],
  by: Signature,
  signal?: AbortSignal,
): Promise<Reclaimed[]> {
  const done: Reclaimed[] = []
  let answers = true
  for (const one of gone) {
    if (signal?.aborted) break
    const there: boolean | undefined = answers ? await hasNode(context.cluster!, one.nodeName) : undefined
    answers = there !== undefined
    const keeps = (reason: string) => done.push({ ...told(one), released: false, reason })
    if (there === undefined) keeps('The kube-apiserver does not answer.')
    else if (there) keeps('It is in the cluster.')
    else if (!(await releaseOne(context, { ...one, ...by }))) keeps('It changed meanwhile.')
    else done.push({ ...told(one), released: true, reason: null })
  }
  return done
}

async function releaseOne({ db, engine, dryRun }: Pick<Context, 'db' | 'engine' | 'dryRun'>, release: Release) {
  return dryRun
    ? (await transaction(db, true, (trx) => releaseTogether(trx, [release])))[0]
    : engine.releases.ask(release)
}

/**
 * An administrator's word: those that are gone by every rule but the share of a pool, or those that never joined, are
 * released.
 * @param wish.neverJoinedAfter seconds after which a node that has not joined is one that never did
 * @returns what became of each, and how many are left for the next request
 * @throws Problem no_cluster, store_unavailable
 */
export async function reclaimOnDemand(
  context: Context,
  wish: { kind: 'node_gone' | 'never_joined'; pool?: string; nodeNames?: readonly string[] },
  rules: { grace: number; neverJoinedAfter: number },
  by: Signature,
): Promise<{ items: Reclaimed[]; left: number }> {
  if (!context.cluster) throw noCluster()
  const { db } = context
  const found =
    wish.kind === 'never_joined'
      ? { due: await withRetries(() => neverJoined(db, rules.neverJoinedAfter)), waiting: [] }
      : await planNow(context, { grace: rules.grace, share: 1 })
  const meant = ({ nodeName, pool }: Gone) =>
    (wish.pool ?? pool) === pool && (wish.nodeNames === undefined || wish.nodeNames.includes(nodeName))
  const waiting = found.waiting.filter(meant).map((one) => ({
    ...told(one),
    released: false,
    reason: 'It has not been missing for long enough.',
  }))
  const due = found.due.filter(meant)
  const now = due.slice(0, MOST)
  return { items: [...(await releaseGone(context, now, by)), ...waiting], left: due.length - now.length }
}

function told({ nodeName, address, pool }: Gone): Pick<Reclaimed, 'nodeName' | 'uniqueIp' | 'pool'> {
  return { nodeName, uniqueIp: canonicalAddress(address), pool }
}

export function noCluster(): Problem {
  return new Problem(
    'no_cluster',
    'This service is connected to no cluster. Set EDGE_IPAM_KUBERNETES to the path of a kubeconfig, or run it in the cluster.',
  )
}
