import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server } from 'node:tls'
import type { FastifyBaseLogger } from 'fastify'

/** How often (ms) the files are looked at. Their content counts: the times of files behind links tell little. */
const LOOK_EVERY = 1_000

export interface KeyPair {
  cert: string
  key: string
}

/**
 * A certificate and its key in two files, as certbot, cert-manager and Kubernetes' secrets give them.
 * @throws Error where they cannot be read, or do not belong together
 */
export function readKeyPair(files: { certFile: string; keyFile: string }): KeyPair {
  return checked({ cert: readFileSync(files.certFile, 'utf8'), key: readFileSync(files.keyFile, 'utf8') })
}

function checked(pair: KeyPair): KeyPair {
  createSecureContext(pair)
  return pair
}

/**
 * Has the servers take a new certificate when the files change; connections that stand are not touched. Files that are
 * half written, or do not fit together yet, are looked at again, and the old certificate serves until then.
 * @returns ends it
 */
export function followKeyPair(
  files: { certFile: string; keyFile: string },
  present: KeyPair,
  servers: readonly Pick<Server, 'setSecureContext'>[],
  log: FastifyBaseLogger,
): () => Promise<void> {
  let pair = present
  let told = ''
  let looking = Promise.resolve()
  const look = async () => {
    const [cert, key] = await Promise.all([readFile(files.certFile, 'utf8'), readFile(files.keyFile, 'utf8')])
    if (cert === pair.cert && key === pair.key) return
    pair = checked({ cert, key })
    for (const server of servers) server.setSecureContext(pair)
    told = ''
    log.info('the certificate changed, and is served from now on')
  }
  const timer = setInterval(() => {
    looking = looking.then(look).catch(({ message }: Error) => {
      if (message !== told) log.warn({ cause: message }, 'the new certificate cannot be used; the old one stays')
      told = message
    })
  }, LOOK_EVERY)
  return async () => {
    clearInterval(timer)
    await looking
  }
}
