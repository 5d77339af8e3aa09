import type { Test } from 'tap'
import { type Service, startService } from '../support/service.js'
import type { Lab } from './lab.js'

/** A service that is connected to the lab's cluster, as its administrator if nothing else is said. */
export function startInCluster(
  t: Pick<Test, 'teardown'>,
  lab: Lab,
  options: { env?: Record<string, string>; kubeconfig?: string; databaseUrl?: string; adminToken?: string } = {},
): Promise<Service> {
  const { env, kubeconfig = lab.kubeconfig, ...rest } = options
  return startService(t, { ...rest, env: { EDGE_IPAM_KUBERNETES: kubeconfig, ...env } })
}

/** Waits until what `look` finds is not undefined, false or null; the test fails by its own timeout. */
export async function until<Found>(look: () => Promise<Found | undefined | null | false>): Promise<Found> {
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== null && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
