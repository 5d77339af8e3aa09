import { type Client, DemoError } from './client.js'
import { type PoolView, tokenDescription } from './run.js'
import { count, type Screen } from './screen.js'

/** What a run is about to take away from a service that goes on. */
export interface Traces {
  prefix: string
  ownPool: string | undefined
  keepNodes: boolean
}

/** So long (ms), beyond the quarantine, the run's own pool may refuse to go. */
const PATIENCE = 20_000

/**
 * Takes nodes, tokens and pool of a run away from a running service, found by their names and so also after a run that
 * was interrupted anywhere.
 * @returns what stays, a sentence each
 */
export async function leaveService(client: Client, screen: Screen, traces: Traces): Promise<string[]> {
  const { prefix, ownPool, keepNodes } = traces
  const stays: string[] = []
  if (keepNodes) {
    stays.push(`The nodes named ${prefix}… and their addresses${ownPool ? `, and pool ${ownPool}` : ''}.`)
  } else {
    const released = await removeNodes(client, screen, prefix)
    if (ownPool !== undefined) await removePool(client, screen, ownPool)
    else if (released > 0) {
      const pools = await client.list<PoolView>('/v1/pools')
      const longest = Math.max(0, ...pools.map(({ quarantineSeconds }) => quarantineSeconds))
      stays.push(`${count(released, 'released address')} in quarantine, for up to ${count(longest, 'second')}.`)
    }
  }
  await removeTokens(client, prefix)
  stays.push('The audit trail of the run.')
  return stays
}

async function removeNodes(client: Client, screen: Screen, prefix: string): Promise<number> {
  let removed = 0
  // A request of an interrupted run may still be under way while the first list is read.
  for (let round = 0; round < 5; round++) {
    const found = await client.list<{ nodeName: string }>(`/v1/nodes?search=${prefix}site-`)
    const left = found.filter(({ nodeName }) => nodeName.startsWith(prefix))
    if (left.length === 0) return removed
    const bar = screen.progress('removed', left.length)
    await client.forEach(left, async ({ nodeName }) => {
      const path = `/v1/nodes/${nodeName}?force=true`
      if ((await client.expect([204, 404], 'DELETE', path)).status === 204) removed++
      bar.tick()
    })
    bar.done()
  }
  throw new DemoError(`Nodes named ${prefix}… come back as fast as they are removed.`)
}

async function removePool(client: Client, screen: Screen, name: string): Promise<void> {
  const pool = await client.call('GET', `/v1/pools/${name}`)
  if (pool.status === 404) return
  screen.say(`The run's own pool goes when its quarantine is over, in ${pool.body.quarantineSeconds} s.`)
  const deadline = performance.now() + pool.body.quarantineSeconds * 1000 + PATIENCE
  for (;;) {
    const { status, body } = await client.call('DELETE', `/v1/pools/${name}`)
    if (status === 204 || status === 404) return
    if (body?.code !== 'pool_in_use' || performance.now() > deadline) {
      throw new DemoError(`Pool ${name} stays: ${body?.detail ?? status}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

async function removeTokens(client: Client, prefix: string): Promise<void> {
  const tokens = await client.list<{ id: string; description: string | null }>('/v1/tokens')
  for (const { id, description } of tokens) {
    if (description === tokenDescription(prefix)) await client.expect([204, 404], 'DELETE', `/v1/tokens/${id}`)
  }
}
