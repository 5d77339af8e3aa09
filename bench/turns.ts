import { type CpuShares, type Watched, watchCpu } from './cpu.js'
import { wrkThreads } from './load/wrk.js'
import { middle } from './statistics.js'

/** What a contestant did in one round. */
export interface Effort {
  /** Requests (or transactions) answered per second. */
  rate: number
  requests: number
  /** Milliseconds. */
  p50: number
  p99: number
}

export interface Round extends Effort {
  cpu: CpuShares | null
  /** When it was, in microseconds of the machine's monotonic clock. */
  from: number
  to: number
}

/** One of those that are measured in turns. */
export interface Contestant {
  readonly watched: Watched
  /** Before each round, outside of the measurement: `seconds` is how long it will be. */
  prepare?(seconds: number): Promise<void>
  measure(seconds: number): Promise<Effort>
  /** After each round: what was wrong with the answers, or with what the database holds now. */
  verify?: (() => Promise<string[]>) | undefined
}

/** How the rounds of one contestant went. */
export interface Standing {
  rounds: Round[]
  /** Why its figures mean nothing; null when they do. */
  void: string | null
  problems: string[]
}

export interface Schedule {
  rounds: number
  seconds: number
  progress: (line: string) => void
}

/**
 * Measures the contestants in turns: one round each, and again, in the opposite order every other time, so that a machine
 * that gets slower or busier meets all of them alike. One round of each before the first does not count.
 */
export async function takeTurns(
  contestants: ReadonlyMap<string, Contestant>,
  { rounds, seconds, progress }: Schedule,
): Promise<Map<string, Standing>> {
  const standings = new Map<string, Standing>()
  for (const key of contestants.keys()) standings.set(key, { rounds: [], void: null, problems: [] })
  for (let round = 0; round <= rounds; round++) {
    const order = [...contestants]
    if (round % 2 === 1) order.reverse()
    const told: string[] = []
    for (const [key, contestant] of order) {
      const standing = standings.get(key)!
      const length = round === 0 ? Math.min(seconds, 2) : seconds
      await contestant.prepare?.(length)
      const from = microseconds()
      const { result, cpu } = await watchCpu(contestant.watched, () => contestant.measure(length))
      const to = microseconds()
      standing.problems.push(...((await contestant.verify?.()) ?? []))
      if (round > 0) standing.rounds.push({ ...result, cpu, from, to })
      told.push(`${key} ${Math.round(result.rate)}/s`)
    }
    progress(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${told.join(', ')}`)
  }
  for (const [key, standing] of standings) {
    standing.void = boundByClient(standing, contestants.get(key)!.watched.servers.length)
  }
  return standings
}

function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** A generator that is as busy as it can be while the server is not: then it is the generator that was measured. */
function boundByClient({ rounds }: Standing, servers: number): string | null {
  const shares = rounds.flatMap(({ cpu }) => cpu ?? [])
  if (shares.length === 0 || servers === 0) return null
  const client = middle(shares.map((share) => share.client)) / wrkThreads / servers
  const server = middle(shares.map((share) => share.server)) / servers
  if (client < 0.9 || server >= 0.9) return null
  return `bound by the load generator (busy ${percent(client)}, the server only ${percent(server)})`
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
