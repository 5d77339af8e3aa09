import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server } from 'node:tls'
import type { FastifyBaseLogger } from 'fastify'
import { authorityProblem } from '../config/certificates.js'

/** How often (ms) the files are looked at. Their content counts: the times of files behind links tell little. */
const LOOK_EVERY = 1_000

export interface KeyPair {
  cert: string
  key: string
  /** The authority whose certificates callers have to show. */
  ca?: string
}

export interface KeyFiles {
  certFile: string
  keyFile: string
  caFile?: string | undefined
}

/**
 * A certificate and its key in two files, as certbot, cert-manager and Kubernetes' secrets give them.
 * @throws Error where they cannot be read, or do not belong together
 */
export function readKeyPair({ certFile, keyFile, caFile }: KeyFiles): KeyPair {
  return checked({
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    ...(caFile !== undefined && { ca: readFileSync(caFile, 'utf8') }),
  })
}

function checked(pair: KeyPair): KeyPair {
  createSecureContext(pair)
  // Without a certificate in it Node would take those of every public authority.
  const problem = pair.ca === undefined ? null : authorityProblem(pair.ca)
  if (problem !== null) throw new Error(problem)
  return pair
}

/**
 * Has the servers take a new certificate when the files change; connections that stand are not touched. Files that are
 * half written, or do not fit together yet, are looked at again, and the old certificate serves until then.
 * @returns ends it
 */
export function followKeyPair(
  files: KeyFiles,
  present: KeyPair,
  servers: readonly Pick<Server, 'setSecureContext'>[],
  log: FastifyBaseLogger,
): () => Promise<void> {
  let pair = present
  let told = ''
  let looking = Promise.resolve()
  const look = async () => {
    const [cert, key, ca] = await Promise.all(
      [files.certFile, files.keyFile, files.caFile].map((file) => file && readFile(file, 'utf8')),
    )
    if (cert === pair.cert && key === pair.key && ca === pair.ca) return
    pair = checked({ cert: cert!, key: key!, ...(ca !== undefined && { ca }) })
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
