/**
 * The closed list of what can go wrong for a caller: stable codes and the title people see. Codes know nothing of
 * HTTP; http/errors.ts is the one table from code to status.
 */
export const problemTitles = {
  malformed_json: 'The body is not JSON',
  validation_failed: 'The request is not valid',
  unauthorized: 'A valid token is needed',
  forbidden: 'The token does not allow this',
  route_not_found: 'There is nothing at this path',
  node_not_found: 'No such node',
  pool_not_found: 'No such pool',
  allocation_not_found: 'No such allocation',
  reservation_not_found: 'No such reservation',
  token_not_found: 'No such token',
  address_not_found: 'No such address',
  method_not_allowed: 'The method is not allowed here',
  pool_exists: 'The pool exists already',
  pool_overlap: 'The CIDR overlaps another',
  pool_in_use: 'The pool is in use',
  pool_not_active: 'The pool is not active',
  pool_exhausted: 'The pool is full',
  address_in_use: 'The address is in use',
  address_quarantined: 'The address is in quarantine',
  address_reserved: 'The address is reserved',
  address_not_in_pool: 'The address is not in the pool',
  allocation_conflict: 'The node holds another address',
  batch_aborted: 'Another item of the batch failed',
  reservation_overlap: 'The reservation overlaps another',
  reservation_outside_pool: 'The reservation is outside the pool',
  invalid_range: 'The range is not valid',
  cidr_not_usable: 'The CIDR cannot be used',
  node_still_registered: 'The node is still registered',
  precondition_failed: 'The thing has changed',
  payload_too_large: 'The body is too large',
  unsupported_media_type: 'The body has to be JSON',
  rate_limited: 'Too many requests',
  store_unavailable: 'The database cannot be reached',
  internal: 'Our own trouble',
} as const

export type ProblemCode = keyof typeof problemTitles

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
    readonly extra: { errors?: readonly FieldError[]; retryAfter?: number; allow?: readonly string[] } = {},
  ) {
    super(detail)
  }
}

/** A validation problem for one field, found after the schema was satisfied. */
export function invalidField(path: string, message: string): Problem {
  return new Problem('validation_failed', message, { errors: [{ path, message }] })
}
