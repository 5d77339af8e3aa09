import type { ContestFigure } from './contest.js'
import type { CpuShares } from './cpu.js'
import type { Figure } from './measurement.js'
import { middle, type Spread, spreadOf } from './statistics.js'
import type { Standing } from './turns.js'

/** One side of a figure: medians over its rounds. */
export interface Side {
  contestant: string
  /** Per second. */
  rate: number
  /** Milliseconds. */
  p50: number
  p99: number
  cpu: CpuShares | null
}

export interface Result {
  name: string
  title: string
  /** What a contest compares; null for a probe. */
  metric: NonNullable<ContestFigure['metric']> | null
  /** Empty for a ratio. */
  unit: string
  goal: NonNullable<Figure['goal']> | null
  /** Of the rounds' ratios, or what a probe found; null when the figure is void or was left out. */
  value: Spread | null
  met: boolean | null
  /** Why there is no value. */
  void: string | null
  leftOut: string | null
  ours: Side | null
  against: Side | null
}

/** What the rounds of a contest say about one figure; `absent` names the contestants that could not take part, and why. */
export function resultOf(
  figure: ContestFigure,
  standings: ReadonlyMap<string, Standing>,
  absent: ReadonlyMap<string, string>,
): Result {
  const metric = figure.metric ?? 'rate'
  const base = { name: figure.name, title: figure.title, metric, unit: '', goal: figure.goal ?? null }
  const ours = standings.get(figure.ours)
  const against = standings.get(figure.against)
  if (!ours || !against) {
    const leftOut = absent.get(figure.ours) ?? absent.get(figure.against) ?? 'not measured'
    return { ...base, value: null, met: null, void: null, leftOut, ours: null, against: null }
  }
  const sides = { ours: sideOf(figure.ours, ours), against: sideOf(figure.against, against) }
  // Only a bare server has to be the bound itself: where the service waits for wrk, it is no slower than shown.
  const reason = against.void
  if (reason !== null)
    return { ...base, ...sides, value: null, met: null, void: `${figure.against}: ${reason}`, leftOut: null }
  const value = spreadOf(ours.rounds.map((round, index) => round[metric] / against.rounds[index]![metric]))
  return { ...base, ...sides, value, met: isMet(figure.goal, value.median), void: null, leftOut: null }
}

export function isMet(goal: Figure['goal'], value: number): boolean | null {
  if (!goal) return null
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost
}

function sideOf(contestant: string, { rounds }: Standing): Side {
  const of = (key: 'rate' | 'p50' | 'p99') => middle(rounds.map((round) => round[key]))
  const shares = rounds.flatMap(({ cpu }) => cpu ?? [])
  const share = (key: 'client' | 'server' | 'others') => middle(shares.map((one) => one[key]))
  const postgres = shares.flatMap((one) => one.postgres ?? [])
  const cpu =
    shares.length === 0
      ? null
      : {
          client: share('client'),
          server: share('server'),
          others: share('others'),
          postgres: postgres.length === 0 ? null : middle(postgres),
        }
  return { contestant, rate: of('rate'), p50: of('p50'), p99: of('p99'), cpu }
}
