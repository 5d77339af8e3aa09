import { parseCidr } from '../core/ip.js'
import { dnsSuffixProblem, labelProblem } from '../core/names.js'
import { cidrRefusal } from '../core/pool.js'
import { isAddressOrCidr, listed, OBJECT, oneOf, readable, serviceAccountsProblem, url, whole } from './checks.js'

export interface Setting {
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
  webhookPort: {
    variable: 'EDGE_IPAM_WEBHOOK_PORT',
    meaning: 'a TLS listener for the admission hook alone, open to whoever reaches it',
    check: (value) => whole(value, 0, 65_535),
  },
  webhookCertFile: {
    variable: 'EDGE_IPAM_WEBHOOK_TLS_CERT_FILE',
    meaning: "the hook's own certificate, where it is not that of EDGE_IPAM_TLS_CERT_FILE",
    check: readable,
  },
  webhookKeyFile: {
    variable: 'EDGE_IPAM_WEBHOOK_TLS_KEY_FILE',
    meaning: 'the key of that certificate',
    check: readable,
  },
  webhookClientCaFile: {
    variable: 'EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE',
    meaning:
      'the authority, in PEM, whose certificate the kube-apiserver has to show to the hook; without it none is asked for',
    check: readable,
  },
  hook: {
    variable: 'EDGE_IPAM_HOOK',
    meaning: 'what the hook does about a node that reports another address: observe, or rewrite it',
    fallback: 'observe',
    check: (value) => oneOf(value, ['observe', 'rewrite']),
  },
  cloudcore: {
    variable: 'EDGE_IPAM_CLOUDCORE',
    meaning: 'stock, or patched: its tunnel asks this service for the key of a session; rewrite needs that',
    fallback: 'stock',
    check: (value) => oneOf(value, ['stock', 'patched']),
  },
  unknownNodes: {
    variable: 'EDGE_IPAM_UNKNOWN_NODES',
    meaning: 'what the hook does about a node that nobody announced: allocate, warn or ignore',
    fallback: 'warn',
    check: (value) => oneOf(value, ['allocate', 'warn', 'ignore']),
  },
  edgeLabel: {
    variable: 'EDGE_IPAM_EDGE_LABEL',
    meaning: 'the label that edge nodes have in the cluster',
    fallback: 'node-role.kubernetes.io/edge',
    check: (value) => labelProblem(value, ''),
  },
  trustedProxies: {
    variable: 'EDGE_IPAM_TRUSTED_PROXIES',
    meaning: 'proxies whose X-Forwarded-For is believed, addresses or CIDRs with commas between',
    check: (value) => {
      const wrong = listed(value).filter((one) => !isAddressOrCidr(one) || one.endsWith('/0'))
      return wrong.length > 0 ? `${wrong.join(', ')}: has to be an IP address or a CIDR, and not all there are` : null
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
  kubernetes: {
    variable: 'EDGE_IPAM_KUBERNETES',
    meaning:
      'the cluster: auto (the one it runs in, or none), off, or the path of a kubeconfig; read again when it changes',
    fallback: 'auto',
    check: (value) => {
      const problem = ['auto', 'off'].includes(value) ? null : readable(value)
      return problem && `has to be auto, off or the path of a kubeconfig, and as such it ${problem}`
    },
  },
  serviceAccounts: {
    variable: 'EDGE_IPAM_SERVICE_ACCOUNTS',
    meaning:
      'roles of ServiceAccounts, whose tokens are then good here: <namespace>/<name>=<role>, with commas between',
    check: serviceAccountsProblem,
  },
  lookEvery: {
    variable: 'EDGE_IPAM_LOOK_SECONDS',
    meaning:
      'how often the cluster is looked at when nothing changes in it; changes are looked at within a second or two',
    fallback: '10',
    check: (value) => whole(value, 1, 3_600),
  },
  reclaim: {
    variable: 'EDGE_IPAM_RECLAIM',
    meaning: 'what is done about nodes that are gone from the cluster and hold an address: off, report or release',
    fallback: 'report',
    check: (value) => oneOf(value, ['off', 'report', 'release']),
  },
  reclaimGrace: {
    variable: 'EDGE_IPAM_RECLAIM_GRACE_SECONDS',
    meaning: 'how long a node has to be gone before its address is released',
    fallback: '3600',
    check: (value) => whole(value, 1, 31_536_000),
  },
  reclaimShare: {
    variable: 'EDGE_IPAM_RECLAIM_SHARE',
    meaning: "percent of a pool's nodes; when more are gone at once, none is released without an administrator's word",
    fallback: '10',
    check: (value) => whole(value, 1, 100),
  },
  neverJoined: {
    variable: 'EDGE_IPAM_NEVER_JOINED_SECONDS',
    meaning: 'how long a node may hold an address and not join, before that is a finding',
    fallback: '604800',
    check: (value) => whole(value, 1, 31_536_000),
  },
  hostsSuffix: {
    variable: 'EDGE_IPAM_HOSTS_SUFFIX',
    meaning: "what comes after nodes' names in hosts files; . is nothing",
    // .internal is set aside for private use, and never asked for outside; .local is that of multicast DNS.
    fallback: 'edge.internal',
    check: dnsSuffixProblem,
  },
  hostsConfigMap: {
    variable: 'EDGE_IPAM_HOSTS_CONFIGMAP',
    meaning: "<namespace>/<name> of a ConfigMap in which nodes' names are kept, for CoreDNS's plugin hosts",
    check: (value) => (OBJECT.test(value) ? null : 'has to be <namespace>/<name>'),
  },
  logLevel: {
    variable: 'LOG_LEVEL',
    meaning: `one of ${levels.join(', ')}`,
    fallback: 'info',
    check: (value) => (levels.includes(value) ? null : `has to be one of ${levels.join(', ')}`),
  },
} as const satisfies Record<string, Setting>
