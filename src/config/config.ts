import { existsSync, readFileSync } from 'node:fs'
import { listed } from './checks.js'
import { contradictions, type Values } from './contradictions.js'
import { type Setting, settings } from './settings.js'

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
  /** A TLS listener for the admission hook. */
  webhookPort: number | undefined
  webhookCertFile: string | undefined
  webhookKeyFile: string | undefined
  /** Whose certificate callers of the hook have to show. */
  webhookClientCaFile: string | undefined
  hook: 'observe' | 'rewrite'
  cloudcore: 'stock' | 'patched'
  unknownNodes: 'allocate' | 'warn' | 'ignore'
  edgeLabel: string
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
  /** The cluster, if there is one. */
  kubernetes: 'off' | 'in-cluster' | { kubeconfig: string }
  /** Roles by `namespace/name` of a ServiceAccount. */
  serviceAccounts: ReadonlyMap<string, string>
  /** Seconds. */
  lookEvery: number
  /** What is done about nodes that are gone. */
  reclaim: 'off' | 'report' | 'release'
  /** Seconds. */
  reclaimGrace: number
  /** Percent. */
  reclaimShare: number
  /** Seconds. */
  neverJoined: number
  /** What comes after nodes' names in hosts files; `.` is nothing. */
  hostsSuffix: string
  /** Where nodes' names are kept in the cluster. */
  hostsConfigMap: { namespace: string; name: string } | undefined
  logLevel: string
}

/** The settings are wrong: every one of them, a line each. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'))
  }
}

const all: Record<keyof Config, Setting> = settings

/** The pool that a service with an embedded database begins with. */
const EMBEDDED_POOL = '10.213.0.0/16'

const POD_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** Doors that somebody may count on, and that this version does not have: better refused than left open or shut. */
const unsupported = [
  'EDGE_IPAM_EDGEWATCHER',
  'EDGE_IPAM_JOIN_URL',
  'EDGE_IPAM_CLOUDCORE_ADDRESS',
  'EDGE_IPAM_KUBEEDGE_VERSION',
  'EDGE_IPAM_KUBEEDGE_TOKEN',
  'EDGE_IPAM_KUBEEDGE_TOKEN_FILE',
]

/**
 * Reads the settings. An empty variable counts as one that is not set.
 * @throws ConfigError with every wrong setting
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = []
  const values: Values = {}
  for (const [key, setting] of Object.entries(all) as [keyof Config, Setting][]) {
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
  const kubernetes = clusterOf(values.kubernetes!, env)
  problems.push(...contradictions(values, kubernetes !== 'off'))
  if (problems.length > 0) throw new ConfigError(problems)
  const port = (value: string | undefined) => (value === undefined ? undefined : Number(value))
  return {
    host: values.host!,
    port: Number(values.port),
    northboundPort: port(values.northboundPort),
    joinPort: port(values.joinPort),
    tlsCertFile: values.tlsCertFile,
    tlsKeyFile: values.tlsKeyFile,
    webhookPort: port(values.webhookPort),
    webhookCertFile: values.webhookCertFile ?? values.tlsCertFile,
    webhookKeyFile: values.webhookKeyFile ?? values.tlsKeyFile,
    webhookClientCaFile: values.webhookClientCaFile,
    hook: values.hook as Config['hook'],
    cloudcore: values.cloudcore as Config['cloudcore'],
    unknownNodes: values.unknownNodes as Config['unknownNodes'],
    edgeLabel: values.edgeLabel!,
    trustedProxies: values.trustedProxies === undefined ? [] : listed(values.trustedProxies),
    databaseUrl: values.databaseUrl,
    databaseConnections: Number(values.databaseConnections),
    redisUrl: values.redisUrl,
    dataDir: values.dataDir!,
    adminToken: values.adminToken,
    pool: values.pool ?? (values.databaseUrl === undefined ? EMBEDDED_POOL : undefined),
    kubernetes,
    serviceAccounts: new Map(
      values.serviceAccounts === undefined
        ? []
        : listed(values.serviceAccounts).map((one) => one.split('=') as [string, string]),
    ),
    lookEvery: Number(values.lookEvery),
    reclaim: values.reclaim as Config['reclaim'],
    reclaimGrace: Number(values.reclaimGrace),
    reclaimShare: Number(values.reclaimShare),
    neverJoined: Number(values.neverJoined),
    hostsSuffix: values.hostsSuffix!,
    hostsConfigMap: objectOf(values.hostsConfigMap),
    logLevel: values.logLevel!,
  }
}

function objectOf(value: string | undefined): Config['hostsConfigMap'] {
  if (value === undefined) return undefined
  const [namespace, name] = value.split('/') as [string, string]
  return { namespace, name }
}

/** As Pods are told of the cluster that they run in. */
function clusterOf(value: string, env: NodeJS.ProcessEnv): Config['kubernetes'] {
  if (value === 'off') return 'off'
  if (value !== 'auto') return { kubeconfig: value }
  return env.KUBERNETES_SERVICE_HOST && existsSync(POD_TOKEN) ? 'in-cluster' : 'off'
}

/**
 * Variables that look like settings and are none: mistyped, maybe. Not refused, since Kubernetes sets some for a
 * Service named edge-ipam, and join scripts have theirs.
 */
export function strangers(env: NodeJS.ProcessEnv): string[] {
  const ours = Object.values(all).flatMap(({ variable }) => [variable, `${variable}_FILE`])
  const known = new Set([...ours, ...unsupported])
  return Object.keys(env).filter(
    (name) =>
      name.startsWith('EDGE_IPAM_') &&
      !known.has(name) &&
      !/^EDGE_IPAM_(TOKEN$|TOKEN_FILE$|ROOT$|TEST_|(.*_)?SERVICE_(HOST|PORT)|PORT(_\d|$))/.test(name),
  )
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
