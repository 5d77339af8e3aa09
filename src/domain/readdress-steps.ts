import { jobReport, makeJob } from '../cluster/config-update-jobs.js'
import type { Asker, Connection } from '../cluster/connection.js'
import { nodeReport } from '../cluster/node-reports.js'
import { canonicalAddress } from '../core/ip.js'
import { jobNameOf, type NodeReport, nextStep, whyLate, whyUnseen } from '../core/readdress.js'
import type { Executor } from '../store/database.js'
import { stopRun } from '../store/readdress.js'
import * as store from '../store/readdress-steps.js'
import { transaction, withRetries } from '../store/transaction.js'
import { askCluster, isClusterTrouble, isRefusal } from './ask-cluster.js'
import { removeKept, troubleWithRemoving } from './readdress-jobs.js'

/** How many nodes are looked at at a time. */
const ABREAST = 20

/** The turn of a node is over. */
export interface Ended {
  runId: string
  nodeName: string
  state: 'done' | 'skipped' | 'failed'
  message: string
}

/** What a round works with. */
interface Round {
  db: Executor
  cluster: Asker
  signal: AbortSignal
}

/**
 * Goes one step on with every run: nodes have their turns, and those that have it are looked at. For one replica at a time,
 * about once a second; that two of them do it for a while harms nothing, nor that one dies between any two steps: whatever
 * is done in the cluster is done again to the same end, and written down after it.
 * @param signal when it is aborted, no call begins any more and those under way break off
 * @returns whose turn ended
 * @throws Problem store_unavailable. Of the cluster's trouble each node has a message.
 */
export async function advanceReaddress(db: Executor, cluster: Connection, signal: AbortSignal): Promise<Ended[]> {
  const runs = await withRetries(() => store.runsUnderWay(db))
  if (runs.length === 0) return []
  for (const id of runs) await takeTurns(db, id)
  const rows = await withRetries(() => store.nodesUnderWay(db))
  const round = { db, cluster: cluster.until(signal), signal }
  const ended: Ended[] = []
  for (let at = 0; at < rows.length && !signal.aborted; at += ABREAST) {
    const steps = rows.slice(at, at + ABREAST).map((row) => advanceNode(round, row))
    ended.push(...(await Promise.all(steps)).filter((one) => one !== undefined))
  }
  if (ended.length > 0) for (const id of runs) await takeTurns(db, id)
  return ended
}

/** The next nodes begin, as many as may; or the run ends. */
function takeTurns(db: Executor, id: string): Promise<void> {
  return transaction(db, false, async (trx) => {
    let run = await store.lockRun(trx, id)
    if (!run) return
    if (run.state === 'running' && run.failed >= run.stop_after_failures) {
      const nodes = run.failed === 1 ? 'A node' : `${run.failed} nodes`
      await stopRun(trx, id, null, `${nodes} of the run failed before its turn.`)
      run = (await store.lockRun(trx, id))!
    }
    const free = run.at_once - run.running
    if (run.waiting > 0 && free > 0) await store.beginNext(trx, id, free)
    await endIfOver(trx, id, run)
  })
}

/** Ends a run, as it was locked, none of whose nodes is left to be looked at. */
export async function endIfOver(trx: Executor, id: string, run: store.LockedRun): Promise<void> {
  if (run.waiting > 0 || run.running > 0) return
  await store.endRun(trx, id, run.stopped_by !== null ? 'stopped' : run.failed > 0 ? 'failed' : 'done')
}

async function advanceNode(round: Round, row: store.UnderWayRow): Promise<Ended | undefined> {
  const { db, signal } = round
  try {
    return await stepOf(round, row)
  } catch (error) {
    if (!isClusterTrouble(error)) throw error
    if (signal.aborted) return undefined
    // The job may be there, or carried out; nobody knows.
    if (row.unseen_for_long) return end(db, row, { state: 'failed', message: whyUnseen(error.detail), jobKept: true })
    if (error.detail !== row.message) await withRetries(() => store.noteTrouble(db, row, error.detail))
    return undefined
  }
}

async function stepOf(round: Round, row: store.UnderWayRow): Promise<Ended | undefined> {
  const { db, cluster } = round
  // Of one that has lost the address nothing has to be seen: its job is to go, as soon as may be.
  const isMeant = row.held === row.unique_ip
  const seen = isMeant ? await askCluster(nodeReport(cluster, row.node_name)) : undefined
  if (isMeant && row.message !== null) {
    await withRetries(() => store.noteAnswer(db, row))
    return undefined
  }
  const step = nextStep(
    {
      nodeName: row.node_name,
      uniqueIp: canonicalAddress(row.unique_ip),
      held: row.held && canonicalAddress(row.held),
      jobMade: row.job_made,
      reportsUnique: row.reports_unique,
      settled: row.settled,
      late: row.late,
    },
    seen,
  )
  switch (step.do) {
    case 'wait':
      return undefined
    case 'note':
      await withRetries(() => store.noteReport(db, row, step.reportsUnique))
      return undefined
    case 'make job':
      return begin(round, row)
    case 'end':
      return end(db, row, await withoutJob(round, row, step))
    case 'give up':
      return giveUp(round, row, seen!)
  }
}

async function begin({ db, cluster }: Round, row: store.UnderWayRow): Promise<Ended | undefined> {
  // A node has one job that is kept, not one for each time.
  for (const kept of await withRetries(() => store.keptJobs(db, row.node_name))) {
    const trouble = await removeKept(db, cluster, kept)
    if (trouble && !isRefusal(trouble)) throw trouble
  }
  try {
    const name = jobNameOf(row.run_id, row.position)
    const uniqueIp = canonicalAddress(row.unique_ip)
    await askCluster(makeJob(cluster, { name, nodeName: row.node_name, uniqueIp, timeoutSeconds: row.timeout_seconds }))
  } catch (error) {
    if (!isRefusal(error)) throw error
    const message = `No ConfigUpdateJob could be made. ${error.detail}`
    return end(db, row, { state: 'failed', message, jobKept: false })
  }
  await withRetries(() => store.noteJob(db, row))
  return undefined
}

interface End {
  state: Ended['state']
  message: string
  jobKept: boolean
}

/**
 * Removes the job of a node whose turn is over, before that is written down: then nobody looks at the node again. A job that
 * cannot be removed keeps no node from its end; it is tried again later.
 */
async function withoutJob(
  { cluster, signal }: Round,
  row: store.UnderWayRow,
  { state, message }: Omit<End, 'jobKept'>,
): Promise<End> {
  const trouble = await troubleWithRemoving(cluster, row)
  if (!trouble) return { state, message, jobKept: false }
  if (signal.aborted) throw trouble
  return { state, message: `${message} Its ConfigUpdateJob is still there. ${trouble.detail}`, jobKept: true }
}

async function giveUp({ db, cluster }: Round, row: store.UnderWayRow, seen: NodeReport): Promise<Ended | undefined> {
  const jobName = jobNameOf(row.run_id, row.position)
  const uniqueIp = canonicalAddress(row.unique_ip)
  const job = await askCluster(jobReport(cluster, jobName)).catch((error) => {
    if (isRefusal(error)) return undefined
    throw error
  })
  const message = whyLate({ uniqueIp, jobName, timeoutSeconds: row.timeout_seconds }, seen, job)
  return end(db, row, { state: 'failed', message, jobKept: true })
}

async function end(db: Executor, row: store.UnderWayRow, { state, message, jobKept }: End): Promise<Ended | undefined> {
  const isNews = await withRetries(() => store.endNode(db, row, { state, message, jobKept }))
  return isNews ? { runId: row.run_id, nodeName: row.node_name, state, message } : undefined
}
