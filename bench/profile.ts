import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Round } from './turns.js'

interface CpuProfile {
  /** Microseconds of the monotonic clock, which is the same for all processes. */
  startTime: number
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}

/**
 * The functions in which a service spent most of its time, themselves and not what they called, in per cent of the time in
 * which it was not idle. Only the rounds count, not its start nor the turns of the others. Reads all profiles of the folder;
 * none, no lines.
 */
export function topFunctions(folder: string, rounds: readonly Pick<Round, 'from' | 'to'>[], most: number): string[] {
  const times = new Map<string, number>()
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.cpuprofile')) : []
  for (const file of files) addTimes(JSON.parse(readFileSync(join(folder, file), 'utf8')), rounds, times)
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}`)
}

function addTimes(
  profile: CpuProfile,
  rounds: readonly Pick<Round, 'from' | 'to'>[],
  times: Map<string, number>,
): void {
  const { nodes, samples, timeDeltas } = profile
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  let now = profile.startTime
  for (const [index, id] of samples.entries()) {
    now += timeDeltas[index] ?? 0
    if (!rounds.some(({ from, to }) => now >= from && now <= to)) continue
    const name = names.get(id)!
    if (name !== '(idle)') times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0))
  }
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][0]['callFrame']): string {
  if (url === '') return functionName
  const place = url.replace(/^.*\/(?=node_modules\/|dist\/)/, '')
  return `${functionName || '(anonymous)'}  ${place}:${lineNumber + 1}`
}
