import type { ContestFigure } from './figure.js'
import { Absent, type Bench, type Measurement, type Outcome } from './measurement.js'
import { topFunctions } from './profile.js'
import { resultOf } from './results.js'
import { Scope } from './scope.js'
import { type Contestant, type Standing, takeTurns } from './turns.js'

/** Starts a contestant; what it started ends with the scope. */
export type Builder = (bench: Bench, scope: Scope, name: string) => Promise<Contestant>

/** Contestants that are measured in turns, and the figures that come of it. */
export interface Contest {
  name: string
  contestants: Record<string, Builder>
  figures: readonly ContestFigure[]
  /** The length of its rounds, where it cannot be as asked for: there are twice as many then. */
  seconds?: number
  long?: string
}

export function contest(definition: Contest): Measurement {
  const { name, figures, long } = definition
  return {
    name,
    figures,
    long,
    run: (bench, wanted) =>
      hold({ ...definition, figures: figures.filter((figure) => wanted.has(figure.name)) }, bench),
  }
}

/** One contest, with those of its contestants that its figures need. */
async function hold({ name, contestants: builders, figures, seconds }: Contest, bench: Bench): Promise<Outcome> {
  const scope = new Scope()
  const contestants = new Map<string, Contestant>()
  const absent = new Map<string, string>()
  let standings = new Map<string, Standing>()
  const needed = new Set(figures.flatMap(({ ours, against }) => [against, ours]))
  try {
    bench.progress(`\n${name}: starting ${[...needed].join(', ')}`)
    // All at once; and if one fails, the others have to have started before they can be ended.
    const started = await Promise.allSettled([...needed].map((key) => builders[key]!(bench, scope, `${name}-${key}`)))
    for (const [index, key] of [...needed].entries()) {
      const start = started[index]!
      if (start.status === 'fulfilled') contestants.set(key, start.value)
      else if (start.reason instanceof Absent) absent.set(key, start.reason.message)
      else throw start.reason
    }
    const shorter = seconds !== undefined && seconds < bench.seconds
    standings = await takeTurns(contestants, {
      rounds: shorter ? bench.rounds * 2 : bench.rounds,
      seconds: shorter ? seconds : bench.seconds,
      progress: (line) => bench.progress(`  ${line}`),
    })
    return {
      results: figures.map((figure) => resultOf(figure, standings, absent)),
      problems: [...standings].flatMap(([key, { problems }]) => problems.map((one) => `${key}: ${one}`)),
      details: Object.fromEntries(standings),
    }
  } finally {
    await scope.end()
    if (bench.profile !== undefined) {
      for (const [key, { rounds }] of standings) {
        const lines = topFunctions(`${bench.profile}/${name}-${key}`, rounds, 10)
        if (lines.length > 0) bench.progress(`\n  ${name}, ${key}: where its time went\n  ${lines.join('\n  ')}`)
      }
    }
  }
}
