import { canonicalAddress } from './ip.js'
import { nodeNameProblem } from './names.js'

// What Kubernetes asks an admission webhook about a Node (admission.k8s.io/v1), and how it is answered. Kubernetes adds
// fields with every release, so what is not known here is passed over; what is needed and missing makes it unreadable.

/** What a review says of a node. */
export interface NodeReview {
  /** Of the review; its answer has the same. */
  uid: string
  operation: 'CREATE' | 'UPDATE'
  dryRun: boolean
  name: string
  labels: Readonly<Record<string, string>>
  /** Absent in the request that creates the node. */
  nodeUid: string | undefined
  /** Those that the node will have if the request goes through. */
  addresses: readonly NodeAddress[]
  /** The request sets the status: else whatever it says of that is passed over, and so is a patch. */
  setsStatus: boolean
}

/** An entry of `status.addresses`. */
export interface NodeAddress {
  type: string
  address: string
  /** The same, canonical, of an InternalIP that is one. */
  internalIp?: string
}

const INTERNAL = 'InternalIP'

/** The uid of the review, where there is one: what cannot be read has to be answered, too. */
export function uidOf(body: unknown): string {
  return textOf(fieldOf(body, 'request'), 'uid') ?? ''
}

/** @returns undefined where it is no review of a node that is created or updated, or not of the shape that Kubernetes gives it */
export function readReview(body: unknown): NodeReview | undefined {
  const request = fieldOf(body, 'request')
  const object = fieldOf(request, 'object')
  const metadata = fieldOf(object, 'metadata')
  const uid = textOf(request, 'uid')
  const operation = textOf(request, 'operation')
  const name = textOf(metadata, 'name') ?? textOf(request, 'name')
  const kind = textOf(fieldOf(request, 'kind'), 'kind')
  const setsStatus = operation === 'CREATE' || textOf(request, 'subResource') === 'status'
  // Of an update of the node itself the apiserver keeps the old status, after it has asked us.
  const status = fieldOf(setsStatus ? object : fieldOf(request, 'oldObject'), 'status')
  const addresses = fieldOf(status, 'addresses') ?? []
  if (textOf(body, 'kind') !== 'AdmissionReview' || kind !== 'Node' || uid === undefined) return undefined
  if (typeof metadata !== 'object' || metadata === null) return undefined
  if (operation !== 'CREATE' && operation !== 'UPDATE') return undefined
  if (name === undefined || nodeNameProblem(name) !== null || !Array.isArray(addresses)) return undefined
  return {
    uid,
    operation,
    dryRun: fieldOf(request, 'dryRun') === true,
    name,
    labels: labelsOf(fieldOf(metadata, 'labels')),
    nodeUid: textOf(metadata, 'uid') || undefined,
    addresses: addresses.map(readAddress),
    setsStatus,
  }
}

/** An entry of a JSON patch (RFC 6902). */
export interface PatchStep {
  op: 'replace'
  path: string
  value: string
}

/**
 * Has the node's InternalIP be the unique one. Whatever else is there, and the order, stays. Only what is there is replaced:
 * a patch that cannot be applied fails the request, whatever the webhook's failurePolicy says.
 */
export function rewritten(addresses: readonly NodeAddress[], uniqueIp: string): PatchStep[] {
  const family = familyOf(uniqueIp)
  const internal = addresses.flatMap(({ internalIp: ip }, index) => (ip === undefined ? [] : [{ ip, index }]))
  // A node of two families has an InternalIP of each; a unique IP takes the place of its own kind.
  const place = internal.find(({ ip }) => familyOf(ip) === family) ?? internal[0]
  if (place === undefined || place.ip === uniqueIp) return []
  return [{ op: 'replace', path: `/status/addresses/${place.index}/address`, value: uniqueIp }]
}

/** The longest that the kube-apiserver passes on of a warning (characters); kubectl shows it. */
const LONGEST = 256

/** What the kube-apiserver is answered. */
export interface Answer {
  apiVersion: 'admission.k8s.io/v1'
  kind: 'AdmissionReview'
  response: {
    uid: string
    allowed: true
    warnings?: string[]
    patchType?: 'JSONPatch'
    /** JSON in Base64. */
    patch?: string
  }
}

/** The answer: always allowed, since a node that cannot tell its status is worse than any address. */
export function admit(
  uid: string,
  { warnings = [], patch = [] }: { warnings?: string[]; patch?: PatchStep[] } = {},
): Answer {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: true,
      ...(warnings.length > 0 && { warnings: warnings.map((text) => text.slice(0, LONGEST)) }),
      ...(patch.length > 0 && {
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      }),
    },
  }
}

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

function readAddress(one: unknown): NodeAddress {
  const [type, address] = [textOf(one, 'type') ?? '', textOf(one, 'address') ?? '']
  // Others are names, and not looked into.
  if (type !== INTERNAL) return { type, address }
  try {
    return { type, address, internalIp: canonicalAddress(address) }
  } catch {
    return { type, address }
  }
}

function labelsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  for (const label of Object.values(value)) if (typeof label !== 'string') return {}
  return value as Record<string, string>
}

/** Own fields only: a name like `constructor` is none. */
function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name)
  return typeof field === 'string' ? field : undefined
}
