import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { DemoError } from './client.js'

const program = fileURLToPath(new URL('../../../bin/edge-ipam.mjs', import.meta.url))

/** A service for one run, on an embedded database in a temporary folder. */
export interface Throwaway {
  url: URL
  token: string
  folder: string
  /** Ends the service and removes the folder. */
  remove(): Promise<void>
}

/** The variables that a service reads: those of the reader's shell are meant for another one. */
const SETTINGS = /^(EDGE_IPAM_.*|(HOST|PORT|DATABASE_URL|REDIS_URL|LOG_LEVEL)(_FILE)?)$/

/**
 * Starts one. Nothing is left when it throws.
 * @param ended is called when the service ends by itself, with its last words
 * @throws DemoError when it does not start
 */
export async function startThrowaway(
  env: NodeJS.ProcessEnv,
  cidr: string,
  signal: AbortSignal,
  ended: (error: DemoError) => void,
): Promise<Throwaway> {
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-demo-'))
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !SETTINGS.test(name)))
  const child = spawn(process.execPath, [program, 'serve'], {
    env: { ...own, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn', EDGE_IPAM_DATA_DIR: folder, EDGE_IPAM_POOL: cidr },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = once(child, 'exit').then(
    () => {},
    () => {},
  )
  let removing: Promise<void> | undefined
  const remove = () => {
    removing ??= (async () => {
      // Its own Ctrl-C may have been quicker; then there is nobody to tell.
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await exit
      await rm(folder, { recursive: true, force: true })
    })()
    return removing
  }
  try {
    const ready = await new Promise<{ page: string; adminTokenFile: string }>((resolve, reject) => {
      const words: string[] = []
      child.on('error', (error) => reject(new DemoError(`The service does not start: ${error.message}`)))
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          words.push(line)
          if (words.length > 20) words.shift()
          if (stream === child.stdout && line.startsWith('{"msg":"ready"')) resolve(JSON.parse(line))
        })
      }
      child.on('close', (code, name) => {
        const error = new DemoError(`The throw-away service ended (${name ?? code}):\n${words.join('\n')}`)
        if (!removing) ended(error)
        reject(error)
      })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      if (signal.aborted) reject(signal.reason)
    })
    return { url: new URL(ready.page), token: readFileSync(ready.adminTokenFile, 'utf8').trim(), folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}
