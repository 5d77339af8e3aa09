import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Config } from '../config/config.js'
import type { Running } from './serve.js'

/** What is printed when the service is ready: for people a few lines, for programs one of JSON. */
export function announcement({ urls, dataDir, adminTokenFile }: Running, config: Config, terminal: boolean): string {
  const token = adminTokenFile === undefined ? '$EDGE_IPAM_ADMIN_TOKEN' : `$(cat ${quoted(adminTokenFile)})`
  const ready = {
    page: `${urls.main}/`,
    docs: `${urls.main}/docs`,
    dataDir: dataDir?.path ?? null,
    adminTokenFile: adminTokenFile ?? null,
    curl:
      `curl -sS ${reaching(urls.main, config.tlsCertFile)}/v1/allocations -H "Authorization: Bearer ${token}" ` +
      `-H 'Content-Type: application/json' -d '{"nodeName":"edge-1","displayIp":"192.168.1.10"}'`,
    ...(urls.northbound && { northbound: urls.northbound }),
    ...(urls.join && { join: urls.join }),
    ...(urls.webhook && { webhook: urls.webhook }),
  }
  if (!terminal) return `${JSON.stringify({ msg: 'ready', ...ready })}\n`
  const others = [
    ready.northbound && `  Northbound side      ${ready.northbound}\n`,
    ready.join && `  For devices          ${ready.join}\n`,
    ready.webhook && `  Admission hook       ${ready.webhook}\n`,
  ]
  return `
edge-ipam is ready.

  Page                 ${ready.page}
  API documentation    ${ready.docs}
${others.filter(Boolean).join('')}  Data                 ${ready.dataDir ?? 'in the database of DATABASE_URL'}
  Admin token          ${ready.adminTokenFile ?? 'the one of EDGE_IPAM_ADMIN_TOKEN'}

  Allocate an address:
  ${ready.curl}

  Ctrl-C ends it.

`
}

/** The address for curl. With TLS under a name that the certificate has, so that it is checked as it would be from afar. */
function reaching(url: string, certFile: string | undefined): string {
  if (certFile === undefined) return url
  const certificate = new X509Certificate(readFileSync(certFile))
  const { hostname, port, host } = new URL(url)
  const trust = `--cacert ${quoted(resolve(certFile))}`
  if (certificate.checkIP(hostname.replace(/[[\]]/g, ''))) return `${trust} ${url}`
  const [, name = 'localhost'] = /(?:^|, )DNS:([^,]+)/.exec(certificate.subjectAltName ?? '') ?? []
  return `${trust} --connect-to ::${host} https://${name.replace('*', 'edge-ipam')}:${port}`
}

/** As one word of a shell. */
function quoted(path: string): string {
  return `'${path.replace(/'/g, `'\\''`)}'`
}
