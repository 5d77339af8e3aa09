import { type Figure, isMet, type Result } from './figure.js'
import { Absent, type Bench, type Measurement, type Outcome } from './measurement.js'
import { Scope } from './scope.js'
import { spreadOf } from './statistics.js'

/** A line of the table that compares nobody: what was measured, in a unit of its own. */
export interface ProbeFigure extends Figure {
  /** As it stands behind the value: `bytes`, `ms`, `MB`; empty for a ratio. */
  unit: string
}

export interface Finding {
  /** By the figure's name: a value for each time it was measured. */
  values: Record<string, number[]>
  problems?: string[]
  /** Why the values mean nothing. */
  void?: string
}

/**
 * A measurement that is no contest: one function that starts what it needs, measures it, and says what it found. What it
 * started ends with the scope. It throws Absent where this machine lacks something.
 */
export function probe(definition: {
  name: string
  figures: readonly ProbeFigure[]
  long?: string
  measure: (bench: Bench, scope: Scope) => Promise<Finding>
}): Measurement {
  const { name, figures, long, measure } = definition
  return {
    name,
    figures,
    long,
    run: async (bench, wanted) => {
      const asked = figures.filter((figure) => wanted.has(figure.name))
      const scope = new Scope()
      bench.progress(`\n${name}: starting`)
      try {
        return outcomeOf(asked, await measure(bench, scope))
      } catch (error) {
        if (!(error instanceof Absent)) throw error
        const results = asked.map((figure) => ({ ...blank(figure), leftOut: error.message }))
        return { results, problems: [], details: null }
      } finally {
        await scope.end()
      }
    },
  }
}

function outcomeOf(figures: readonly ProbeFigure[], { values, problems = [], void: reason }: Finding): Outcome {
  const results = figures.map((figure): Result => {
    if (reason !== undefined) return { ...blank(figure), void: reason }
    const found = values[figure.name] ?? []
    if (found.length === 0) return { ...blank(figure), leftOut: 'not measured' }
    const value = spreadOf(found)
    return { ...blank(figure), value, met: isMet(figure.goal, value.median) }
  })
  return { results, problems, details: values }
}

function blank({ name, title, goal = undefined, unit }: ProbeFigure): Result {
  const nothing = { value: null, met: null, void: null, leftOut: null, ours: null, against: null }
  return { name, title, metric: null, unit, goal: goal ?? null, ...nothing }
}
