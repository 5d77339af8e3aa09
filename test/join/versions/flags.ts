import type { Flag } from './release.js'

// The flags of keadm by the release that brought them. Sources are named in the rows that use them.

const string = (name: string, short?: string): Flag => ({ name, type: 'string', ...(short && { short }) })
const CERT_PATH: Flag = { name: 'certPath', type: 'string', default: '/etc/kubeedge/certs' }
const LABELS: Flag = { name: 'labels', short: 'l', type: 'strings' }
const RUNTIME_TYPE = string('runtimetype', 'r')
const WITH_MQTT: Flag = { name: 'with-mqtt', type: 'bool' }

export const JOIN_1_6: readonly Flag[] = [
  string('kubeedge-version'),
  string('cgroupdriver'),
  CERT_PATH,
  { ...string('cloudcore-ipport', 'e'), required: true },
  RUNTIME_TYPE,
  string('edgenode-name', 'i'),
  string('remote-runtime-endpoint', 'p'),
  string('token', 't'),
  string('certport', 's'),
  string('tarballpath'),
]
export const JOIN_1_9 = [...JOIN_1_6, LABELS]
export const JOIN_1_10 = [...JOIN_1_9, WITH_MQTT]
export const JOIN_1_12 = [...JOIN_1_10, string('image-repository')]

const JOIN_1_17_BARE = [
  ...JOIN_1_12.filter((flag) => flag !== RUNTIME_TYPE && flag !== WITH_MQTT),
  { ...string('hub-protocol'), default: 'websocket' },
]
export const JOIN_1_17: readonly Flag[] = [...JOIN_1_17_BARE, { ...WITH_MQTT, deprecated: true }]
/** Until 1.18.2 `--set` is a plain string: of several the last one wins. */
export const JOIN_1_18_0 = [...JOIN_1_17, string('set')]
const SET: Flag = { name: 'set', type: 'stringArray' }
export const JOIN_1_18_3 = [...JOIN_1_17, SET]
const HOOKS = [string('pre-run'), string('post-run')]
export const JOIN_1_20 = [...JOIN_1_18_3, ...HOOKS]
export const JOIN_1_23 = [...JOIN_1_17_BARE, SET, ...HOOKS]

/** What KubeSphere's builds add. */
const KUBESPHERE = [
  string('edgenode-ip', 'a'),
  string('region', 'z'),
  { name: 'with-edge-taint', short: 'w', type: 'bool' },
  string('edgecoreconfigpath', 'c'),
  string('quicport', 'q'),
  string('tunnelport', 'n'),
] satisfies Flag[]
export const JOIN_KUBESPHERE_1_6 = [...JOIN_1_6, ...KUBESPHERE]
export const JOIN_KUBESPHERE_1_9 = [...JOIN_1_9, ...KUBESPHERE]
/** Only those of its own that the published command has. */
export const JOIN_KUBESPHERE_1_13 = [
  ...JOIN_1_12,
  ...KUBESPHERE.filter(({ name }) => ['edgenode-ip', 'with-edge-taint', 'quicport', 'tunnelport'].includes(name)),
]

const FORCE: Flag = { name: 'force', type: 'bool' }
const KUBE_CONFIG: Flag = { name: 'kube-config', type: 'string', default: '/root/.kube/config' }
const ENDPOINT = string('remote-runtime-endpoint')

export const RESET_1_6: readonly Flag[] = [KUBE_CONFIG, FORCE]
export const RESET_1_12_1 = [...RESET_1_6, string('runtimetype'), ENDPOINT]
export const RESET_1_17 = [...RESET_1_6, ENDPOINT]
export const RESET_EDGE_1_17 = [FORCE, ENDPOINT]
export const RESET_EDGE_1_20 = [...RESET_EDGE_1_17, ...HOOKS]
