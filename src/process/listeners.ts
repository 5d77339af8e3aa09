import { lookup } from 'node:dns/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import type { FastifyBaseLogger } from 'fastify'
import { type AppOptions, buildApp } from '../app.js'
import type { Config } from '../config/config.js'
import type { Admission } from '../http/admission.js'
import { HOOK_PATH } from '../integrations/hook/plugin.js'
import { StartError } from './start-error.js'
import { followKeyPair, type KeyFiles, type KeyPair, readKeyPair } from './tls-files.js'

/** The longest that running requests may take to finish when the service ends (ms). */
const GRACE = 10_000

type Door = NonNullable<AppOptions['door']>

export interface Listeners {
  /** Where each one is reached from this machine. */
  urls: { main: string; northbound?: string; join?: string; webhook?: string }
  /** No new connections; running requests finish. */
  close: () => Promise<void>
}

/**
 * Opens every listener that the settings ask for: `PORT`, and those that serve a part of it elsewhere.
 * @throws StartError that names the setting
 */
export async function openListeners(
  config: Config,
  { admission, ...options }: Omit<AppOptions, 'door' | 'tls' | 'trustedProxies'> & { admission: Admission },
  log: FastifyBaseLogger,
): Promise<Listeners> {
  const files = filesOf(config.tlsCertFile, config.tlsKeyFile)
  const hookFiles = filesOf(config.webhookCertFile, config.webhookKeyFile, config.webhookClientCaFile)
  const wanted: { name: keyof Listeners['urls']; door: Door; variable: string; port: number | undefined }[] = [
    { name: 'northbound', door: 'northbound', variable: 'EDGE_IPAM_NORTHBOUND_PORT', port: config.northboundPort },
    { name: 'join', door: 'join', variable: 'EDGE_IPAM_JOIN_PORT', port: config.joinPort },
    { name: 'webhook', door: 'webhook', variable: 'EDGE_IPAM_WEBHOOK_PORT', port: config.webhookPort },
    { name: 'main', door: config.northboundPort === undefined ? 'all' : 'inside', variable: 'PORT', port: config.port },
  ]
  const host = await addressOf(config.host)
  const apps: Awaited<ReturnType<typeof buildApp>>[] = []
  const urls: Partial<Listeners['urls']> = {}
  // By what they are called: listeners may share theirs.
  const followed = new Map<string, { files: KeyFiles; present: KeyPair; servers: TlsServer[] }>()
  const unfollow: (() => Promise<void>)[] = []
  const close = async () => {
    await Promise.all(unfollow.map((end) => end()))
    await Promise.all(apps.map((app) => closeWithin(GRACE, app)))
  }
  try {
    for (const { name, door, variable, port } of wanted) {
      if (port === undefined) continue
      const keyFiles = door === 'webhook' ? hookFiles : files
      const names = JSON.stringify(keyFiles)
      const tls = keyFiles && (followed.get(names)?.present ?? readKeyPair(keyFiles))
      const app = await buildApp({ ...options, door, tls, trustedProxies: config.trustedProxies })
      apps.push(app)
      admission.guard(app.server, (url) => url.split('?')[0] === HOOK_PATH && options.metrics.review('overload'))
      if (keyFiles && tls) {
        const server = app.server as unknown as TlsServer
        const servers = [...(followed.get(names)?.servers ?? []), server]
        followed.set(names, { files: keyFiles, present: tls, servers })
      }
      await app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
        throw new StartError(listenProblem(config.host, `${variable}=${port}`, error), 1)
      })
      urls[name] = urlOf(config.host, (app.server.address() as AddressInfo).port, tls)
    }
  } catch (error) {
    await close()
    throw error
  }
  for (const one of followed.values()) unfollow.push(followKeyPair(one.files, one.present, one.servers, log))
  return { urls: urls as Listeners['urls'], close }
}

/**
 * Of `localhost` one address. Fastify would make a second server for the other one, without all that belongs to the first:
 * admission, answers to what is not HTTP, new certificates.
 */
async function addressOf(host: string): Promise<string> {
  if (host !== 'localhost') return host
  const { address } = await lookup(host).catch((error: NodeJS.ErrnoException) => {
    throw new StartError(listenProblem(host, '', error), 1)
  })
  return address
}

function filesOf(certFile?: string, keyFile?: string, caFile?: string): KeyFiles | undefined {
  return certFile !== undefined && keyFile !== undefined ? { certFile, keyFile, caFile } : undefined
}

function urlOf(host: string, port: number, tls: KeyPair | undefined): string {
  const reached = ['0.0.0.0', '::', '::0'].includes(host) ? '127.0.0.1' : host
  return `${tls ? 'https' : 'http'}://${reached.includes(':') ? `[${reached}]` : reached}:${port}`
}

function listenProblem(host: string, setting: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `${setting}: another program listens there already. Stop it, or choose another port.`
    case 'EACCES':
      return `${setting}: this user may not listen there. Choose a port above 1023.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST=${host}: this machine has no such address.`
    default:
      return `HOST=${host} ${setting}: ${error.message}`
  }
}

async function closeWithin(ms: number, app: { close(): PromiseLike<unknown>; server: Server }): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), ms)
  await app.close()
  clearTimeout(timer)
}
