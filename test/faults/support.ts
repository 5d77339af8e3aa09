import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Waits for a condition, at most a minute: long enough for a machine that is busy with other things. */
export async function until<T>(what: string, look: () => Promise<T | false> | T | false): Promise<T> {
  const end = Date.now() + 60_000
  for (;;) {
    const seen = await look()
    if (seen !== false) return seen
    if (Date.now() > end) throw new Error(`not within a minute: ${what}`)
    await delay(20)
  }
}

/** A process and its children: PostgreSQL is one process a connection, and stopping the first stops none of them. */
export function familyOf(pid: number): number[] {
  const children = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      // The name in parentheses may hold anything, so what counts comes after the last one.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid
    } catch {
      return false
    }
  })
  return [pid, ...children.map(Number)]
}

/** Sends a signal to a process and its children; who has ended meanwhile is left out. */
export function signalFamily(pid: number, signal: NodeJS.Signals): void {
  for (const one of familyOf(pid)) {
    try {
      process.kill(one, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
