import { type ContestFigure, isMet, type Result, type Side } from './figure.js'
import { middle, spreadOf } from './statistics.js'
import type { Standing } from './turns.js'

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
