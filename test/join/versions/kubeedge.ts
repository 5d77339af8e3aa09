import * as flags from './flags.js'
import type { Release } from './release.js'

const JOIN = 'keadm/cmd/keadm/app/cmd/edge/join.go'
const JOIN_OTHERS = 'keadm/cmd/keadm/app/cmd/edge/join_others.go'
const quiet = { code: 1, usage: false } as const

/** 1.6 to 1.10: keadm downloads, writes a whole new edgecore.yaml with the host's address, and starts edgecore. */
const early = {
  repository: 'kubeedge/kubeedge',
  source: JOIN,
  way: 'edit',
  reset: flags.RESET_1_6,
  resetsStopped: false,
  config: { apiVersion: 'v1alpha1', writesHostAddress: true },
  needsCleanFolder: false,
  validatesNodeIp: false,
  failure: { code: 1, usage: true },
} as const satisfies Partial<Release>

/** 1.12 to 1.17: v1alpha2, only into a clean folder. */
const middle = {
  ...early,
  join: flags.JOIN_1_12,
  reset: flags.RESET_1_12_1,
  config: { apiVersion: 'v1alpha2', writesHostAddress: false },
  needsCleanFolder: true,
  failure: quiet,
} as const satisfies Partial<Release>

const late = {
  ...middle,
  source: JOIN_OTHERS,
  reset: flags.RESET_1_17,
  resetEdge: flags.RESET_EDGE_1_17,
} as const satisfies Partial<Release>

/** Since 1.18 join takes --set. */
const setting = { ...late, way: '--set' } as const satisfies Partial<Release>

/** KubeEdge's own releases; defaults of nodeIP were read in default.go of the same tags, reset in reset*.go. */
export const KUBEEDGE: readonly Release[] = [
  { name: 'KubeEdge 1.6', tag: 'v1.6.2', ...early, join: flags.JOIN_1_6, failure: { code: 255, usage: true } },
  { name: 'KubeEdge 1.9', tag: 'v1.9.5', ...early, join: flags.JOIN_1_9 },
  { name: 'KubeEdge 1.10', tag: 'v1.10.3', ...early, join: flags.JOIN_1_10 },
  {
    name: 'KubeEdge 1.12.0',
    tag: 'v1.12.0',
    ...middle,
    way: 'edit and interface',
    reset: flags.RESET_1_6,
    validatesNodeIp: true,
  },
  { name: 'KubeEdge 1.12.1', tag: 'v1.12.1', ...middle, way: 'edit and interface', validatesNodeIp: true },
  {
    name: 'KubeEdge 1.13.0',
    tag: 'v1.13.0',
    ...middle,
    config: { apiVersion: 'v1alpha2', writesHostAddress: true },
  },
  { name: 'KubeEdge 1.13', tag: 'v1.13.5', ...middle },
  { name: 'KubeEdge 1.17', tag: 'v1.17.5', ...late, join: flags.JOIN_1_17 },
  { name: 'KubeEdge 1.18.0', tag: 'v1.18.0', ...setting, join: flags.JOIN_1_18_0 },
  { name: 'KubeEdge 1.18', tag: 'v1.18.3', ...setting, join: flags.JOIN_1_18_3 },
  {
    name: 'KubeEdge 1.20',
    tag: 'v1.20.0',
    ...setting,
    join: flags.JOIN_1_20,
    resetEdge: flags.RESET_EDGE_1_20,
    resetsStopped: true,
  },
  {
    name: 'KubeEdge 1.23',
    tag: 'v1.23.1',
    ...setting,
    join: flags.JOIN_1_23,
    resetEdge: flags.RESET_EDGE_1_20,
    resetsStopped: true,
  },
]
