import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Test } from 'tap'
import { isPostmasterOf } from '../../src/embedded/processes.js'

type Ending = Pick<Test, 'teardown'>

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** A folder with spaces in its name, removed with everything in it; a postmaster that a killed service left there is ended. */
export function tempFolder(t: Ending): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge ipam test '))
  t.teardown(async () => {
    const data = join(folder, 'postgres')
    const pid = postmasterPid(folder)
    if (pid !== undefined && isPostmasterOf(pid, data)) {
      process.kill(pid, 'SIGQUIT')
      await until(() => !isPostmasterOf(pid, data), 'the postmaster has ended')
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return folder
}

export function postmasterPid(folder: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10)
  } catch {
    return undefined
  }
}

export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await pause(20)
  }
}

export async function query(url: string, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await client.query(statement)
  } finally {
    await client.end()
  }
}

export interface ServiceProcess {
  child: ChildProcess
  ready: { pid: number; database: number; url: string }
}

/** How to start Node as another user than root. */
export const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

/** Why this machine cannot show what a test is about, or false. */
export function notRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'needs root, to change users'
}

export function cannotBeNobody(): string | false {
  const refused = notRoot()
  if (refused) return refused
  const probe = spawnSync('setpriv', [
    ...asNobody.slice(1),
    process.execPath,
    '-e',
    `require('fs').readFileSync(${JSON.stringify(here('service.ts'))})`,
  ])
  return probe.status === 0 ? false : 'another user cannot read this checkout, or setpriv is missing'
}

/** Starts a service process on the folder; rejects with its stderr when it ends before it is up. */
export async function startService(t: Ending, folder: string, prefix: string[] = []): Promise<ServiceProcess> {
  const [command, ...args] = [...prefix, process.execPath, '--import', 'tsx', here('service.ts'), folder]
  const child = spawn(command as string, args, {
    cwd: here('../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
    // tsx keeps a cache: another user gets a place of its own.
    env: { PATH: process.env.PATH, ...(prefix.length > 0 ? { HOME: folder, TMPDIR: folder } : {}) },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const lines = createInterface({ input: child.stdout })
  const ended = once(child, 'close').then(([code]) => {
    throw new Error(`the service ended with ${code}: ${said}`)
  })
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string]
  ended.catch(() => {})
  return { child, ready: JSON.parse(line) }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const closed = once(child, 'close')
  child.kill(signal)
  await closed
}
