import type { CpuShares } from './cpu.js'
import type { Spread } from './statistics.js'

/** One line of the table. */
export interface Figure {
  name: string
  /** What it says, for people. */
  title: string
  /** In the figure's own unit. */
  goal?: { atLeast: number } | { atMost: number }
  /** Why --quick leaves it out (--only measures it all the same). */
  long?: string | undefined
}

/** A line of the table that compares two contestants of a contest: the ratio of what they did. */
export interface ContestFigure extends Figure {
  ours: string
  against: string
  /** Default: the rate. */
  metric?: 'rate' | 'p50' | 'p99'
}

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

export function isMet(goal: Figure['goal'], value: number): boolean | null {
  if (!goal) return null
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost
}
