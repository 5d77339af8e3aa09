import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { devNull, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/support/free-port.js'
import type { Scope } from '../scope.js'

/** Somebody who answers HTTP, in a process of its own. */
export interface HttpServer {
  /** Whom the load is put on. */
  readonly url: string
  /** Where all the rest is asked. */
  readonly mainUrl: string
  readonly token: string
  readonly pid: number
}

const START_LIMIT = 60_000

/** Of the hook's listener, and who signed it. */
export const certificates = fileURLToPath(new URL('../../test/support/tls/', import.meta.url))

/**
 * The service as people run it: the built program, everything on, its log at `info` written to the null device (a file on
 * the database's disk would meet its fsyncs, a pipe would need a reader who takes from the processors).
 * @param options.program what installProgram() returned
 * @param options.profile a folder for a CPU profile, written when the service ends
 */
export function startService(
  scope: Scope,
  options: {
    program: string
    databaseUrl: string
    redisUrl?: string | undefined
    pool: string
    profile?: string | undefined
    /** Default: a new one. The replicas of a service share theirs. */
    token?: string | undefined
    /** What is asked is its admission hook, by HTTPS. */
    hook?: boolean | undefined
    /** Of the cluster that it works for. */
    kubeconfig?: string | undefined
  },
): Promise<HttpServer> {
  const token = options.token ?? randomBytes(24).toString('base64url')
  if (options.profile !== undefined) mkdirSync(options.profile, { recursive: true })
  return start(scope, {
    what: 'the service',
    args: [
      ...(options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]),
      options.program,
      'serve',
    ],
    token,
    ready: '/readyz',
    hook: options.hook,
    env: {
      DATABASE_URL: options.databaseUrl,
      EDGE_IPAM_ADMIN_TOKEN: token,
      EDGE_IPAM_POOL: options.pool,
      LOG_LEVEL: 'info',
      ...(options.kubeconfig !== undefined && { EDGE_IPAM_KUBERNETES: options.kubeconfig }),
      ...(options.redisUrl !== undefined && { REDIS_URL: options.redisUrl }),
    },
  })
}

/** Fastify with nothing behind it: bare-server.ts. */
export function startBareServer(scope: Scope, { hook = false } = {}): Promise<HttpServer> {
  return start(scope, {
    what: 'the bare server',
    args: ['--import', 'tsx', fileURLToPath(new URL('bare-server.ts', import.meta.url))],
    token: 'x'.repeat(32),
    ready: '/v1/nodes/bench/unique-ip',
    hook,
    env: {},
  })
}

async function start(
  scope: Scope,
  {
    what,
    args,
    token,
    ready,
    env,
    hook,
  }: {
    what: string
    args: string[]
    token: string
    ready: string
    env: Record<string, string>
    hook: boolean | undefined
  },
): Promise<HttpServer> {
  const port = await freePort()
  const hookPort = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-log-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const words = join(folder, 'stderr')
  const out = openSync(devNull, 'w')
  const err = openSync(words, 'w')
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', out, err],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      HOST: '127.0.0.1',
      PORT: String(port),
      ...(hook && {
        EDGE_IPAM_WEBHOOK_PORT: String(hookPort),
        EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: `${certificates}first.crt`,
        EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: `${certificates}first.key`,
      }),
      ...env,
    },
  })
  closeSync(out)
  closeSync(err)
  const alive = () => child.exitCode === null && child.signalCode === null
  scope.onEnd(async () => {
    if (!alive()) return
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
  })
  const mainUrl = `http://127.0.0.1:${port}`
  const url = hook ? `https://127.0.0.1:${hookPort}` : mainUrl
  const deadline = Date.now() + START_LIMIT
  for (;;) {
    const answer = await fetch(`${mainUrl}${ready}`).catch(() => undefined)
    await answer?.text()
    if (answer?.ok) return { url, mainUrl, token, pid: child.pid! }
    if (!alive() || Date.now() > deadline) {
      throw new Error(`${what} did not start:\n${readFileSync(words, 'utf8').trim()}`)
    }
    await pause(50)
  }
}
