import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type AllocationLock, createLock, type LockOptions } from '../../src/lock/allocation-lock.js'

/** A lock with the lines it has logged; closed at the end of the test. */
export interface LoggedLock extends AllocationLock {
  readonly warnings: string[]
  readonly infos: string[]
}

/** A lock whose waits are so long that only a defect makes it skip, unless the test says otherwise. */
export function lockFor(t: Test, options: Partial<LockOptions>): LoggedLock {
  const warnings: string[] = []
  const infos: string[] = []
  const log = {
    warn: (fields: object, message: string) => void warnings.push(`${JSON.stringify(fields)} ${message}`),
    info: (fields: object, message: string) => void infos.push(`${JSON.stringify(fields)} ${message}`),
  }
  const lock = createLock({ log, leaseMs: 30_000, waitMs: 20_000, ...options })
  t.teardown(() => lock.close())
  return Object.assign(lock, { warnings, infos })
}

/** Waits for a condition; fails when it has not come true within 20 seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await delay(5)
  }
}

/** A promise and what resolves it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** A lock in a process of its own, see holder.ts. */
export interface Holder {
  readonly child: ChildProcess
  /** Starts a run on the key; resolves inside of it. */
  hold(key: string): Promise<void>
  /** Ends that run; resolves after it. */
  letGo(): Promise<void>
  stats(): Promise<AllocationLock['stats']>
}

/** Starts a process with a lock; killed at the end of the test. Resolves when it has connected to Redis. */
export async function startHolder(
  t: Test,
  options: { redisUrl: string; leaseMs: number; waitMs: number },
  env: NodeJS.ProcessEnv = {},
): Promise<Holder> {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const child = fork(fileURLToPath(new URL('./holder.ts', import.meta.url)), [JSON.stringify(options)], {
    execArgv: ['--import', import.meta.resolve('tsx')],
    env: { ...inherited, ...env },
  })
  const exit = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exit
  })
  // Each answer says what it is about, since a run that waits for its turn answers late.
  const answer = (about: string) =>
    new Promise<{ stats: AllocationLock['stats'] }>((resolve, reject) => {
      const listen = (message: { about: string; stats: AllocationLock['stats'] }) => {
        if (message.about !== about) return
        child.off('message', listen)
        resolve(message)
      }
      child.on('message', listen)
      exit.then(() => reject(new Error('the holder has ended')))
    })
  const ask = (message: object, about: string) => {
    child.send(message)
    return answer(about)
  }
  await answer('connected')
  return {
    child,
    hold: async (key) => void (await ask({ hold: key }, 'inside')),
    letGo: async () => void (await ask({ letGo: true }, 'outside')),
    stats: async () => (await ask({ stats: true }, 'stats')).stats,
  }
}
