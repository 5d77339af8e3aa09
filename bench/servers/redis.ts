import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../../test/support/free-port.js'
import type { Scope } from '../scope.js'

export interface BenchRedis {
  readonly url: string
  readonly facts: string
}

/** The one at the URL; else an installed redis-server or valkey-server, started for this run; else none. */
export async function openRedis(url: string | undefined, scope: Scope): Promise<BenchRedis | undefined> {
  if (url !== undefined) return { url, facts: `Redis ${await versionOf(url)}, as given` }
  const program = ['redis-server', 'valkey-server'].find((name) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
  if (program === undefined) return undefined
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-redis-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const settings = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const child = spawn(program, settings.map(String), { stdio: 'ignore' })
  scope.onEnd(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill()
    await exit
  })
  const started = `redis://127.0.0.1:${port}`
  return { url: started, facts: `${program} ${await versionOf(started)}, started for this run` }
}

/** Waits for it to answer, for ten seconds at most. */
async function versionOf(url: string): Promise<string> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const client = new Redis(url, { retryStrategy: () => null, lazyConnect: true })
    client.on('error', () => {})
    try {
      await client.connect()
      const info = await client.info('server')
      return /^(?:valkey|redis)_version:(\S+)/m.exec(info)?.[1] ?? ''
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`Redis does not answer: ${(error as Error).message}`)
      await pause(20)
    } finally {
      client.disconnect()
    }
  }
}
