/** A flag of a keadm command, as pflag knows it. A `bool` takes a value only after `=`; the others always take one. */
export interface Flag {
  name: string
  short?: string
  type: 'string' | 'strings' | 'stringArray' | 'bool'
  default?: string
  required?: true
  /** Still taken, with a notice, and no longer in the help. */
  deprecated?: true
}

/** How the unique IP gets into edgecore.yaml with this release. */
export type Way = '--set' | '--edgenode-ip' | 'edit' | 'edit and interface'

/** What a keadm release does, as far as it concerns who calls it. One row of the suite. */
export interface Release {
  name: string
  repository: 'kubeedge/kubeedge' | 'kubesphere/kubeedge'
  tag: string
  /** The file where the flags of join were read. */
  source: string
  /** Where no source could be had: what was read instead. */
  readInstead?: string
  way: Way
  /** The flags of `keadm join`: no other is taken. */
  join: readonly Flag[]
  /** The flags of `keadm reset`, and of `keadm reset edge` where there is one; else a word after `reset` is ignored. */
  reset: readonly Flag[]
  resetEdge?: readonly Flag[]
  /** Its `keadm reset edge` also cleans where no edgecore runs; the others end with 0 and leave everything. */
  resetsStopped: boolean
  config: {
    apiVersion: 'v1alpha1' | 'v1alpha2'
    /** Join writes this host's own address as nodeIP; else the file has no nodeIP unless one was given. */
    writesHostAddress: boolean
  }
  /** Join refuses where /etc/kubeedge has anything in it. */
  needsCleanFolder: boolean
  /** Its edgecore reports no address where nodeIP is on no interface of the host. */
  validatesNodeIp: boolean
  /** The exit code of a keadm that failed, and whether it shows its usage then. */
  failure: { code: 1 | 255; usage: boolean }
}
