import type { DemoOptions } from './options.js'
import type { DemoNode, Run } from './run.js'
import type { Screen } from './screen.js'
import type { Sums } from './sums.js'

/** The result of a run for programs: what `--output json` prints. Parts that were not reached are null. */
export function resultOf(end: {
  options: DemoOptions
  screen: Screen
  run: Run | undefined
  story: { rows: DemoNode[]; sums: Sums } | undefined
  stays: string[]
  problems: string[]
}) {
  const { options, screen, run, story, stays, problems } = end
  return {
    ok: problems.length === 0,
    problems,
    server: options.server?.url.href ?? null,
    sites: options.sites,
    nodesPerSite: options.nodesPerSite,
    connections: options.connections,
    checks: screen.checks,
    timings: run?.timings ?? [],
    retries: run?.retries ?? 0,
    nodes: story?.sums.nodes ?? null,
    distinctDisplayIps: story?.sums.distinctDisplayIps ?? null,
    distinctUniqueIps: story?.sums.distinctUniqueIps ?? null,
    auditRows: story?.sums.auditRows ?? null,
    pools: story?.sums.pools.map(({ name, cidr, utilization }) => ({ name, cidr, utilization })) ?? null,
    table:
      story?.rows.map(({ site, name, displayIp, uniqueIp, sequence, note }) => {
        return { site, node: name, displayIp, uniqueIp, sequence, note: note || null }
      }) ?? null,
    stays,
  }
}

/** As JSON, where counts of addresses are integers however large. */
export function resultText(result: ReturnType<typeof resultOf>): string {
  const text = JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? `\u0000${value}` : value), 2)
  return `${text.replace(/"\\u0000(\d+)"/g, '$1')}\n`
}
