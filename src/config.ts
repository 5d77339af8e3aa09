import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { canonicalAddress, parseCidr } from './core/ip.js'
import { cidrRefusal } from './core/pool.js'

/** All settings, read once. This file is the only reader of the environment. */
export interface Config {
  host: string
  port: number
  /** A listener of its own for the northbound side; undefined: it is on `port`. */
  northboundPort: number | undefined
  /** One more listener, for devices outside the cluster. */
  joinPort: number | undefined
  /** TLS on every listener: both, or none. */
  tlsCertFile: string | undefined
  tlsKeyFile: string | undefined
  /** Addresses and CIDRs of proxies that tell where a request came from. */
  trustedProxies: readonly string[]
  /** undefined: the embedded PostgreSQL */
  databaseUrl: string | undefined
  databaseConnections: number
  redisUrl: string | undefined
  dataDir: string
  adminToken: string | undefined
  /** The CIDR of the pool `default`, made when no pool exists. */
  pool: string | undefined
  logLevel: string
}

/** The settings are wrong: every one of them, a line each. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'))
  }
}

interface Setting {
  variable: string
  meaning: string
  fallback?: string
  /** Never printed; may be given as a file with `_FILE` appended. */
  secret?: true
  /** What is wrong with the value, or null. */
  check: (value: string) => string | null
}

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** Check, default and documentation of each setting (`edge-ipam serve --help` prints it). */
export const settings = {
  host: {
    variable: 'HOST',
    meaning: 'where it listens',
    fallback: '127.0.0.1',
    check: (value) => (/^[\w.:-]+$/.test(value) ? null : 'has to be an address or a host name'),
  },
  port: {
    variable: 'PORT',
    meaning: 'the port; 0 picks one and prints it',
    fallback: '8080',
    check: (value) => whole(value, 0, 65_535),
  },
  northboundPort: {
    variable: 'EDGE_IPAM_NORTHBOUND_PORT',
    meaning: 'a listener of its own for the northbound side; PORT then serves none of it',
    check: (value) => whole(value, 0, 65_535),
  },
  joinPort: {
    variable: 'EDGE_IPAM_JOIN_PORT',
    meaning: 'one more listener, for devices outside the cluster: /join.sh, what the join role may do, and health',
    check: (value) => whole(value, 0, 65_535),
  },
  tlsCertFile: {
    variable: 'EDGE_IPAM_TLS_CERT_FILE',
    meaning: 'certificate and its chain, in PEM: TLS on every listener; read again when it changes',
    check: readable,
  },
  tlsKeyFile: {
    variable: 'EDGE_IPAM_TLS_KEY_FILE',
    meaning: 'the key of the certificate, in PEM and not encrypted',
    check: readable,
  },
  trustedProxies: {
    variable: 'EDGE_IPAM_TRUSTED_PROXIES',
    meaning: 'proxies whose X-Forwarded-For is believed, addresses or CIDRs with commas between',
    check: (value) => {
      const wrong = listed(value).filter((one) => !isAddressOrCidr(one))
      return wrong.length > 0 ? `${wrong.join(', ')}: has to be an IP address or a CIDR` : null
    },
  },
  databaseUrl: {
    variable: 'DATABASE_URL',
    meaning: 'PostgreSQL 14 or newer, postgres://…; without it an embedded one runs in the data folder',
    secret: true,
    check: (value) => url(value, ['postgres:', 'postgresql:']),
  },
  databaseConnections: {
    variable: 'EDGE_IPAM_DATABASE_CONNECTIONS',
    meaning: 'how many connections to the database each process may hold',
    fallback: '10',
    check: (value) => whole(value, 2, 200),
  },
  redisUrl: {
    variable: 'REDIS_URL',
    meaning: 'Redis 6 or Valkey, redis://… or rediss://…; saves work when several replicas run',
    secret: true,
    check: (value) => url(value, ['redis:', 'rediss:']),
  },
  dataDir: {
    variable: 'EDGE_IPAM_DATA_DIR',
    meaning: 'the embedded database and generated tokens',
    fallback: '.edge-ipam',
    check: (value) => (value.includes('\0') ? 'has to be a path' : null),
  },
  adminToken: {
    variable: 'EDGE_IPAM_ADMIN_TOKEN',
    meaning: 'the first admin token; generated in the data folder when the database is embedded',
    secret: true,
    check: (value) =>
      value.length < 32 || value.length > 512 || /\s/.test(value)
        ? 'has to have 32 to 512 characters and no white space; make one with: openssl rand -base64 32'
        : null,
  },
  pool: {
    variable: 'EDGE_IPAM_POOL',
    meaning: 'the CIDR of the pool "default", made at the first start when no pool exists',
    check: (value) => {
      try {
        return cidrRefusal(parseCidr(value))
      } catch (error) {
        return (error as Error).message
      }
    },
  },
  logLevel: {
    variable: 'LOG_LEVEL',
    meaning: `one of ${levels.join(', ')}`,
    fallback: 'info',
    check: (value) => (levels.includes(value) ? null : `has to be one of ${levels.join(', ')}`),
  },
} as const satisfies Record<keyof Config, Setting>

/** The pool that a service with an embedded database begins with. */
const EMBEDDED_POOL = '10.213.0.0/16'

/** Doors that somebody may count on, and that this version does not have: better refused than left open or shut. */
const unsupported = [
  'EDGE_IPAM_WEBHOOK_PORT',
  'EDGE_IPAM_EDGEWATCHER',
  'EDGE_IPAM_KUBERNETES',
  'EDGE_IPAM_JOIN_URL',
  'EDGE_IPAM_CLOUDCORE_ADDRESS',
  'EDGE_IPAM_KUBEEDGE_VERSION',
  'EDGE_IPAM_KUBEEDGE_TOKEN',
]

function whole(value: string, least: number, most: number): string | null {
  return /^\d{1,6}$/.test(value) && Number(value) >= least && Number(value) <= most
    ? null
    : `has to be a whole number from ${least} to ${most}`
}

function readable(file: string): string | null {
  try {
    readFileSync(file)
    return null
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code})`
  }
}

function listed(value: string): string[] {
  return value.split(',').map((one) => one.trim())
}

function isAddressOrCidr(value: string): boolean {
  try {
    if (value.includes('/')) parseCidr(value)
    else canonicalAddress(value)
    return true
  } catch {
    return false
  }
}

/** What is wrong with settings that are right one by one. */
function contradictions(values: Record<string, string | undefined>): string[] {
  const problems: string[] = []
  const { tlsCertFile: certFile, tlsKeyFile: keyFile } = values
  if ((certFile === undefined) !== (keyFile === undefined)) {
    problems.push('EDGE_IPAM_TLS_CERT_FILE and EDGE_IPAM_TLS_KEY_FILE: one is of no use without the other')
  }
  if (certFile !== undefined && keyFile !== undefined && !readable(certFile) && !readable(keyFile)) {
    try {
      createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile) })
    } catch (error) {
      problems.push(
        `EDGE_IPAM_TLS_CERT_FILE=${certFile} and EDGE_IPAM_TLS_KEY_FILE=${keyFile}: have to be a certificate in PEM and the ` +
          `key that belongs to it, not encrypted (${(error as Error).message})`,
      )
    }
  }
  const taken = new Map<string, string>()
  for (const key of ['port', 'northboundPort', 'joinPort'] as const) {
    const { variable } = settings[key]
    const value = values[key]
    if (value === undefined || Number(value) === 0) continue
    const other = taken.get(value)
    if (other !== undefined) problems.push(`${variable}=${value}: is ${other}'s already`)
    taken.set(value, variable)
  }
  return problems
}

function url(value: string, protocols: readonly string[]): string | null {
  const wanted = `has to begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  try {
    const { protocol, hostname } = new URL(value)
    if (!protocols.includes(protocol)) return wanted
    // A socket's folder may stand in the place of the host, or in the query.
    return hostname === '' && !value.includes('host=') && !value.includes('%2F') ? 'names no host' : null
  } catch {
    return `${wanted} and name a host; a password in it has to be percent-encoded`
  }
}

/**
 * Reads the settings. An empty variable counts as one that is not set.
 * @throws ConfigError with every wrong setting
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = []
  const values: Record<string, string | undefined> = {}
  for (const [key, setting] of Object.entries(settings) as [keyof Config, Setting][]) {
    const value = readSetting(setting, env, problems)
    values[key] = value ?? setting.fallback
    if (value === undefined) continue
    const problem = setting.check(value)
    if (problem !== null) problems.push(`${setting.variable}${setting.secret ? '' : `=${value}`}: ${problem}`)
  }
  for (const variable of unsupported) {
    if (!['', 'off', 'auto'].includes(env[variable] ?? ''))
      problems.push(`${variable}: this version does not have it; leave it out`)
  }
  problems.push(...contradictions(values))
  if (problems.length > 0) throw new ConfigError(problems)
  const port = (value: string | undefined) => (value === undefined ? undefined : Number(value))
  return {
    host: values.host!,
    port: Number(values.port),
    northboundPort: port(values.northboundPort),
    joinPort: port(values.joinPort),
    tlsCertFile: values.tlsCertFile,
    tlsKeyFile: values.tlsKeyFile,
    trustedProxies: values.trustedProxies === undefined ? [] : listed(values.trustedProxies),
    databaseUrl: values.databaseUrl,
    databaseConnections: Number(values.databaseConnections),
    redisUrl: values.redisUrl,
    dataDir: values.dataDir!,
    adminToken: values.adminToken,
    pool: values.pool ?? (values.databaseUrl === undefined ? EMBEDDED_POOL : undefined),
    logLevel: values.logLevel!,
  }
}

function readSetting(setting: Setting, env: NodeJS.ProcessEnv, problems: string[]): string | undefined {
  const { variable, secret } = setting
  const direct = env[variable] || undefined
  const file = (secret && env[`${variable}_FILE`]) || undefined
  if (file === undefined) return direct
  if (direct !== undefined) {
    problems.push(`${variable} and ${variable}_FILE: only one of them may be set`)
    return undefined
  }
  try {
    const value = readFileSync(file, 'utf8').trim()
    if (value === '') problems.push(`${variable}_FILE=${file}: the file is empty`)
    return value || undefined
  } catch (error) {
    problems.push(`${variable}_FILE=${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`)
    return undefined
  }
}
