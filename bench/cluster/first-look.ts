import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import type { Bench } from '../measurement.js'
import type { Finding } from '../probe.js'
import { Scope } from '../scope.js'
import { type HttpServer, startService } from '../servers/http.js'
import { withClient } from '../servers/postgres.js'
import { type ClusterFleet, clusterFleet, countFindings, forgetLooks, POOL, wasLookedAt } from './fleet.js'

const PATIENCE = 120_000

/** Seconds from the start of the process until a look has found all that there is to find, as often as there are rounds. */
export async function measureFirstLook(bench: Bench): Promise<Finding> {
  const fleet = await clusterFleet(bench)
  const values: Record<'cluster' | 'cluster-again', number[]> = { cluster: [], 'cluster-again': [] }
  await withClient(fleet.databaseUrl, async (client) => {
    for (let round = 0; round < bench.rounds; round++) {
      await forgetLooks(client)
      for (const which of ['cluster', 'cluster-again'] as const) {
        const scope = new Scope()
        try {
          const from = performance.now()
          await startAndLook(bench, scope, fleet, { client, profile: which })
          values[which].push((performance.now() - from) / 1000)
        } finally {
          await scope.end()
        }
      }
    }
  })
  return { values }
}

/** Starts a service for the cluster, and comes back when its findings are complete. */
export async function startAndLook(
  { program, profile }: Bench,
  scope: Scope,
  { lab, databaseUrl, findings }: ClusterFleet,
  { client, profile: name }: { client: pg.Client; profile: string },
): Promise<HttpServer> {
  await wasLookedAt(client)
  const server = await startService(scope, {
    program,
    databaseUrl,
    pool: POOL,
    kubeconfig: lab.kubeconfig,
    hook: true,
    profile: profile && `${profile}/${name}`,
  })
  const deadline = performance.now() + PATIENCE
  while (!(await wasLookedAt(client))) {
    if (performance.now() > deadline) throw new Error(`after ${PATIENCE / 1000} s the cluster was not looked at`)
    await pause(20)
  }
  const found = await countFindings(client)
  if (found !== findings) throw new Error(`there are ${found} findings, not ${findings}`)
  return server
}
