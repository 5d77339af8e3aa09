import type { Figure, Result } from './figure.js'
import type { Scope } from './scope.js'
import type { Postgres } from './servers/postgres.js'
import type { BenchRedis } from './servers/redis.js'

/** Figures that are measured together. Each measurement starts with fresh processes and databases. */
export interface Measurement {
  name: string
  figures: readonly Figure[]
  /** As the `long` of all its figures. */
  long?: string | undefined
  /** `wanted`: names of the figures that are asked for; at least one. */
  run(bench: Bench, wanted: ReadonlySet<string>): Promise<Outcome>
}

export interface Outcome {
  results: Result[]
  /** What was wrong with the answers, or with what the database holds: any makes the run fail. */
  problems: string[]
  /** All that was measured, for the JSON. */
  details: unknown
}

/** What all measurements of a run share. */
export interface Bench {
  postgres: Postgres
  redis: BenchRedis | undefined
  /** What starts the service. */
  program: string
  /** Where the services leave their CPU profiles. */
  profile: string | undefined
  rounds: number
  /** The length of a round. */
  seconds: number
  /** Rough figures, soon: prepare less, measure for a shorter time. */
  quick: boolean
  progress: (line: string) => void
  /** Ends with the run. */
  scope: Scope
  signal: AbortSignal
}

/** It cannot be measured on this machine; the message says why. */
export class Absent extends Error {}
