import { hasNode } from '../cluster/nodes.js'
import { Problem } from '../core/errors.js'
import { canonicalAddress } from '../core/ip.js'
import { type Gone, planReclaim, type ReclaimPlan, type ReclaimRules } from '../core/reclaim.js'
import { goneNodes, heldByPool, holdingsAmong, neverJoined } from '../store/gone.js'
import { findPool } from '../store/pools.js'
import { type Release, releaseTogether } from '../store/releases.js'
import { transaction, withRetries } from '../store/transaction.js'
import type { Context } from './context.js'

/** What became of one of them. */
export interface Reclaimed {
  nodeName: string
  /** Null: it holds none. */
  uniqueIp: string | null
  pool: string | null
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
 * @returns what became of each, and of each that is named, and how many are left for the next request
 * @throws Problem no_cluster, pool_not_found, store_unavailable
 */
export async function reclaimOnDemand(
  context: Context,
  wish: { kind: 'node_gone' | 'never_joined'; pool?: string; nodeNames?: readonly string[] },
  rules: { grace: number; neverJoinedAfter: number },
  by: Signature,
): Promise<{ items: Reclaimed[]; left: number }> {
  if (!context.cluster) throw noCluster()
  const { db } = context
  if (wish.pool !== undefined && !(await withRetries(() => findPool(db, wish.pool!)))) {
    throw new Problem('pool_not_found', `There is no pool ${wish.pool}.`)
  }
  const found =
    wish.kind === 'never_joined'
      ? { due: await withRetries(() => neverJoined(db, rules.neverJoinedAfter)), waiting: [] }
      : await planNow(context, { grace: rules.grace, share: 1 })
  const meant = ({ nodeName, pool }: Gone) =>
    (wish.pool ?? pool) === pool && (wish.nodeNames === undefined || wish.nodeNames.includes(nodeName))
  const waiting = found.waiting.filter(meant).map((one) => ({
    ...told(one),
    released: false,
    reason: `It has been missing for ${Math.floor(one.absentFor / 1000)} s, and counts as gone after ${rules.grace / 1000} s. DELETE /v1/nodes/${one.nodeName}/allocation releases it before.`,
  }))
  const due = found.due.filter(meant)
  const now = due.slice(0, MOST)
  const others = await othersOf(
    context,
    wish,
    new Set([...due, ...found.waiting.filter(meant)].map(({ nodeName }) => nodeName)),
  )
  return { items: [...(await releaseGone(context, now, by)), ...waiting, ...others], left: due.length - now.length }
}

/** Those that are named and not of the kind: each has to be told why it stays as it is. */
async function othersOf(
  { db }: Pick<Context, 'db'>,
  { kind, pool, nodeNames = [] }: { kind: 'node_gone' | 'never_joined'; pool?: string; nodeNames?: readonly string[] },
  meant: ReadonlySet<string>,
): Promise<Reclaimed[]> {
  const names = nodeNames.filter((name) => !meant.has(name))
  if (names.length === 0) return []
  const held = new Map((await withRetries(() => holdingsAmong(db, names))).map((one) => [one.nodeName, one]))
  return names.map((nodeName): Reclaimed => {
    const own = held.get(nodeName)
    if (own === undefined) {
      return { nodeName, uniqueIp: null, pool: null, released: false, reason: 'It holds no address.' }
    }
    const isElsewhere = pool !== undefined && own.pool !== pool
    const reason = isElsewhere ? `It is not of pool ${pool}.` : NOT_OF_KIND[kind]
    return { nodeName, uniqueIp: canonicalAddress(own.address), pool: own.pool, released: false, reason }
  })
}

const NOT_OF_KIND = {
  node_gone: 'It is not known to be gone from the cluster.',
  never_joined: 'It has joined, or has not had its address for long enough.',
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
