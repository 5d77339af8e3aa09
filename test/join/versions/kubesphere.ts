import * as flags from './flags.js'
import type { Release } from './release.js'

const build = {
  repository: 'kubesphere/kubeedge',
  source: 'keadm/cmd/keadm/app/cmd/edge/join.go',
  way: '--edgenode-ip',
  reset: flags.RESET_1_6,
  resetsStopped: false,
  config: { apiVersion: 'v1alpha1', writesHostAddress: true },
  needsCleanFolder: false,
  validatesNodeIp: false,
  failure: { code: 1, usage: true },
} as const satisfies Partial<Release>

/** KubeSphere's builds of keadm. Their repository ends with 1.9.2. */
export const KUBESPHERE: readonly Release[] = [
  {
    name: "KubeSphere's 1.6",
    tag: 'v1.6.2-kubesphere',
    ...build,
    join: flags.JOIN_KUBESPHERE_1_6,
    failure: { code: 255, usage: true },
  },
  { name: "KubeSphere's 1.9", tag: 'v1.9.2-kubesphere', ...build, join: flags.JOIN_KUBESPHERE_1_9 },
  {
    name: "KubeSphere's 1.13",
    tag: 'v1.13.0',
    ...build,
    readInstead:
      "the command that the console of KubeSphere 3.4 shows (its build's source is not public); the rest is taken to be as in KubeEdge 1.13.0",
    join: flags.JOIN_KUBESPHERE_1_13,
    reset: flags.RESET_1_12_1,
    config: { apiVersion: 'v1alpha2', writesHostAddress: true },
    needsCleanFolder: true,
    failure: { code: 1, usage: false },
  },
]
