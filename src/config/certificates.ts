import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** What is wrong with a certificate and its key, both in PEM; null: nothing. */
export function pairProblem(cert: string, key: string): string | null {
  try {
    createSecureContext({ cert, key })
    return null
  } catch (error) {
    return `have to be a certificate in PEM and the key that belongs to it, not encrypted (${(error as Error).message})`
  }
}

/** What is wrong with the certificates of authorities, in PEM, by which callers are to be known; null: nothing. */
export function authorityProblem(pem: string): string | null {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (certificates.length === 0) return 'has no certificate in PEM'
  try {
    for (const one of certificates) new X509Certificate(one)
    return null
  } catch (error) {
    return `has a certificate that cannot be read (${(error as Error).message})`
  }
}
