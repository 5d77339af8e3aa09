// A finding: something that does not fit together. Whether it is new, still so, or over is found by comparing two lists of
// findings, by key.

export const findingKinds = [
  'address_mismatch',
  'unknown_node',
  'node_gone',
  'never_joined',
  'duplicate_internal_ip',
  'name_claimed_twice',
  'suspicious_address',
  'network_overlap',
  'stale_reference',
  'hosts_too_large',
] as const

export type FindingKind = (typeof findingKinds)[number]

export const subjectKinds = ['Node', 'Pool', 'Service', 'EndpointSlice', 'ConfigMap'] as const

/** What a finding is about. */
export interface Subject {
  kind: (typeof subjectKinds)[number]
  /** Empty for what has none. */
  namespace: string
  name: string
}

export interface Finding {
  kind: FindingKind
  subject: Subject
  /** For people: what is wrong, and the way out. The same as long as nothing changes. May show unique IPs. */
  message: string
}

/** The same for a finding as long as it lasts, whatever its message says. */
export function keyOf({ kind, subject }: Pick<Finding, 'kind' | 'subject'>): string {
  return `${kind}/${subject.kind}/${subject.namespace}/${subject.name}`
}

export function ofNode(name: string, kind: FindingKind, message: string): Finding {
  return { kind, subject: { kind: 'Node', namespace: '', name }, message }
}

const SHOWN = 5

/** A few by name, the others by number. `count` is how many there are, where not all are given. */
export function listOf(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, SHOWN)
  return count > shown.length ? `${shown.join(', ')} and ${count - shown.length} more` : shown.join(', ')
}
