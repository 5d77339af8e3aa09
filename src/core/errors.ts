/**
 * The closed list of what can go wrong for a caller, and all that is said of it: a stable code, the title people see,
 * what it means, and what the caller should do. Codes know nothing of HTTP; http/errors.ts is the one table from code
 * to status. docs/errors.md is made from both.
 */
export const problems = {
  malformed_json: {
    title: 'The body is not JSON',
    means: 'The body is not JSON in UTF-8, or not as long as it says.',
    remedy: 'Send JSON.',
  },
  validation_failed: {
    title: 'The request is not valid',
    means: 'Fields are missing, unknown or of the wrong form, in the body, the query or the path.',
    remedy: 'Mend what `errors` lists: it has every wrong field at once.',
  },
  unauthorized: {
    title: 'A valid token is needed',
    means: 'There is no token, or it is unknown, revoked or expired.',
    remedy: 'Send `Authorization: Bearer <token>` with a token that is good.',
  },
  forbidden: {
    title: 'The token does not allow this',
    means: "The token's role, its name pattern or its number of uses does not allow this.",
    remedy: 'Use another token; `detail` says which roles may.',
  },
  route_not_found: {
    title: 'There is nothing at this path',
    means: 'There is nothing at this path.',
    remedy: 'Mend the path; `/openapi.json` lists all there are.',
  },
  node_not_found: {
    title: 'No such node',
    means: 'Nobody knows the node, or it holds no address.',
    remedy: 'Allocate first, or mend the name.',
  },
  pool_not_found: {
    title: 'No such pool',
    means: "No pool has this name, or no active pool fits the node's labels.",
    remedy: 'Give another name or other labels, or make a pool that fits.',
  },
  allocation_not_found: {
    title: 'No such allocation',
    means: 'Nobody holds this address, or the node holds none.',
    remedy: 'Nothing, if it was to be released: it is.',
  },
  reservation_not_found: {
    title: 'No such reservation',
    means: 'The pool has no reservation of this id.',
    remedy: "List the pool's reservations.",
  },
  token_not_found: {
    title: 'No such token',
    means: 'No token has this id.',
    remedy: 'List the tokens.',
  },
  readdress_not_found: {
    title: 'No such run',
    means: 'No run of re-addressing has this id.',
    remedy: 'Mend the id; `GET /v1/readdress` lists all there are.',
  },
  address_not_found: {
    title: 'No such address',
    means: 'The address lies in no pool, and nobody ever had it.',
    remedy: 'Mend the address.',
  },
  method_not_allowed: {
    title: 'The method is not allowed here',
    means: 'The path takes other methods.',
    remedy: 'Use one of those in `Allow`.',
  },
  pool_exists: {
    title: 'The pool exists already',
    means: 'A pool has this name.',
    remedy: 'Choose another name.',
  },
  pool_overlap: {
    title: 'The CIDR overlaps another',
    means: 'The CIDR overlaps the pool or the network of the cluster that `detail` names.',
    remedy: 'Choose another CIDR.',
  },
  pool_in_use: {
    title: 'The pool is in use',
    means: 'The pool has addresses that are allocated or in quarantine.',
    remedy: 'Set it `draining`, release what it holds, wait for the quarantine.',
  },
  pool_not_active: {
    title: 'The pool is not active',
    means: 'The pool is draining, and gives nothing new, or disabled, and registers nobody new either.',
    remedy: 'Use another pool, or make it `active`.',
  },
  pool_exhausted: {
    title: 'The pool is full',
    means: 'Every pool that fits is full.',
    remedy: 'Add or grow a pool, or release what is not needed; then ask again.',
  },
  address_in_use: {
    title: 'The address is in use',
    means: 'A node holds the address.',
    remedy: 'Ask for another one, or for none.',
  },
  address_quarantined: {
    title: 'The address is in quarantine',
    means: 'The address was released a short while ago, by another node, and rests.',
    remedy: 'Ask for another one or for none, or wait.',
  },
  allocation_conflict: {
    title: 'The node holds another address',
    means: 'The node holds another address or pool than asked for.',
    remedy: 'Ask for none to have what it holds, or release that first.',
  },
  batch_aborted: {
    title: 'Another item of the batch failed',
    means: 'Another item of an atomic batch failed, and nothing was kept.',
    remedy: 'Mend that item and send the batch again.',
  },
  reservation_overlap: {
    title: 'The reservation overlaps another',
    means: 'The range overlaps another reservation.',
    remedy: 'Choose another range.',
  },
  no_cluster: {
    title: 'There is no cluster',
    means: 'This needs the cluster, and the service is connected to none.',
    remedy: 'Set `EDGE_IPAM_KUBERNETES`, or run the service in the cluster.',
  },
  node_still_registered: {
    title: 'The node is still registered',
    means: 'The cluster has the node or, where that is not known, it has joined with this address.',
    remedy: 'Remove it from the cluster first, or say `?force=true`.',
  },
  precondition_failed: {
    title: 'The thing has changed',
    means: 'The thing is not the one, or no longer as, `If-Match` says; or it is gone.',
    remedy: 'Read it again, and decide again.',
  },
  payload_too_large: {
    title: 'The body is too large',
    means: 'The body has more than 2 MiB.',
    remedy: 'Send it in smaller parts.',
  },
  unsupported_media_type: {
    title: 'The body has to be JSON',
    means: 'The body is not declared as JSON.',
    remedy: 'Send `Content-Type: application/json`.',
  },
  address_not_in_pool: {
    title: 'The address is not in the pool',
    means: 'The address is in no pool, or not in the one that was named.',
    remedy: 'Ask for another address or pool.',
  },
  address_reserved: {
    title: 'The address is reserved',
    means: "The address is reserved, or it is the network's or the broadcast address.",
    remedy: 'Ask for another one, or for none.',
  },
  cidr_not_usable: {
    title: 'The CIDR cannot be used',
    means: 'The CIDR is for loopback, link-local, multicast and the like, or a pool would not grow around itself.',
    remedy: 'Choose another CIDR.',
  },
  invalid_range: {
    title: 'The range is not valid',
    means: 'The end comes before the start, or is of the other IP version.',
    remedy: 'Turn it round.',
  },
  reservation_outside_pool: {
    title: 'The reservation is outside the pool',
    means: 'The range does not lie inside the pool.',
    remedy: 'Choose another range.',
  },
  readdress_not_supported: {
    title: 'The cluster has no ConfigUpdateJobs',
    means: "The cluster does not know KubeEdge's ConfigUpdateJob, which is there from KubeEdge 1.21 on.",
    remedy: 'Upgrade KubeEdge, or install its CRDs; or join the node again with its unique IP.',
  },
  readdress_not_possible: {
    title: 'Nodes cannot be re-addressed',
    means: 'Some of the nodes hold no unique IP, or are not in the cluster.',
    remedy: 'Leave out those that `errors` lists, or allocate for them and have them join.',
  },
  node_not_in_cluster: {
    title: 'The node is not in the cluster',
    means: 'The cluster has no Node of this name.',
    remedy: 'Have it join: it can do so with its unique IP at once.',
  },
  node_not_ready: {
    title: 'The node is not Ready',
    means: 'The node is not Ready, and KubeEdge changes the configuration of Ready nodes only.',
    remedy: 'Send it again when the node is back.',
  },
  rate_limited: {
    title: 'Too many requests',
    means: 'Too many requests without a valid token came from this source.',
    remedy: 'Mend the token, and wait as `Retry-After` says; valid tokens are never limited.',
  },
  internal: {
    title: 'Our own trouble',
    means: 'It is a fault of ours.',
    remedy: 'Send it again; the log has more under the `requestId`.',
  },
  store_unavailable: {
    title: 'The database cannot be reached',
    means: 'PostgreSQL is away, or more requests wait than can be served in time.',
    remedy: 'Send it again as `Retry-After` says; nothing is lost.',
  },
  cluster_unavailable: {
    title: 'The cluster does not answer',
    means: 'The kube-apiserver is away, or refuses to answer this service; or more tokens come than it is asked about.',
    remedy:
      'Send it again as `Retry-After` says; where `detail` says "forbidden", give the service the rights it needs.',
  },
} as const

export type ProblemCode = keyof typeof problems

/** One field of a request that is wrong: a JSON Pointer into the body, `?name` in the query, `{name}` in the path. */
export interface FieldError {
  path: string
  message: string
}

/** What a caller is told. `detail` is for people: what is wrong with this request, and the way out. */
export class Problem extends Error {
  override readonly name = 'Problem'
  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    readonly extra: {
      errors?: readonly FieldError[]
      retryAfter?: number
      allow?: readonly string[]
      /** What is behind it has its line in the log: one for each request would be too many. */
      told?: true
    } = {},
  ) {
    super(detail)
  }
}

/** A validation problem for one field, found after the schema was satisfied. */
export function invalidField(path: string, message: string): Problem {
  return new Problem('validation_failed', message, { errors: [{ path, message }] })
}
