import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { Lead } from '../domain/lead.js'
import { type ClusterContext, ClusterRound, type ClusterRules, type Task } from './cluster-round.js'
import type { Stop } from './stop.js'
import { Troubles } from './troubles.js'

/** How often (ms) it is asked whether there is something to do. */
const ROUND = 1_000
/** So long (ms) the end waits for what is under way: a kube-apiserver that does not answer may hold it for longer. */
const LAST = 3_000

/** Does what one replica does for all of them, as long as this is the one. */
export function workForCluster(
  context: ClusterContext,
  rules: ClusterRules,
  tasks: readonly Task[],
  log: FastifyBaseLogger,
): Stop {
  const over = new AbortController()
  const troubles = new Troubles(log)
  const lead = new Lead(context.db, 'cluster', (error) => troubles.met('who works for the cluster is not known', error))
  let work: ClusterRound | undefined
  let running: Promise<void> | undefined

  async function round(): Promise<void> {
    if (!lead.isOurs) {
      work?.stop()
      work = undefined
      return
    }
    if (work === undefined) log.info('this replica works for the cluster')
    work ??= new ClusterRound(context, rules, tasks, troubles, log)
    await work.run(over.signal)
  }
  const timer = setInterval(() => {
    running ??= round().finally(() => {
      running = undefined
    })
  }, ROUND)

  return async () => {
    clearInterval(timer)
    over.abort()
    work?.stop()
    await Promise.race([running, pause(LAST, undefined, { ref: false })])
    await lead.stop()
  }
}
