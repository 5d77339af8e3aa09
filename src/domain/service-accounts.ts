import type { Connection } from '../cluster/connection.js'
import { CannotAsk, reviewToken } from '../cluster/token-review.js'
import { Problem } from '../core/errors.js'
import type { TokenRole } from '../store/schema.js'
import type { Caller } from './context.js'

/** For so long (ms) an answer of the kube-apiserver counts. */
const FRESH = 10_000
/** While it cannot be asked, an answer that let somebody in counts for so long (ms): it restarts, callers go on. */
const KEPT = 60_000
const MAX_REMEMBERED = 1_000

/** Says which role a ServiceAccount's token has, by asking the kube-apiserver. */
export class ServiceAccounts {
  readonly #remembered = new Map<string, { caller: Caller | null; at: number }>()

  /**
   * @param roles by `namespace/name`; nobody else gets in
   * @param onTrouble told why the kube-apiserver could not be asked
   */
  constructor(
    private readonly connection: Connection,
    private readonly roles: ReadonlyMap<string, TokenRole>,
    private readonly onTrouble: (error: Error) => void,
  ) {}

  /**
   * @param digest of the token: what is remembered is no secret
   * @returns null: not a token of a ServiceAccount that has a role here
   * @throws Problem store_unavailable, if the kube-apiserver cannot be asked
   */
  async identify(token: string, digest: string): Promise<Caller | null> {
    const claimed = this.roles.get(accountOf(subjectOf(token)) ?? '')
    // What does not even claim to be one of them costs nobody a question.
    if (claimed === undefined) return null
    const known = this.#remembered.get(digest)
    const age = known === undefined ? Number.POSITIVE_INFINITY : performance.now() - known.at
    if (known && age < FRESH) return known.caller
    try {
      const at = performance.now()
      const account = accountOf(await reviewToken(this.connection, token))
      const role = account === undefined ? undefined : this.roles.get(account)
      const caller = role === undefined ? null : { role, tokenId: account!, namePattern: null, limited: false }
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
      this.#remembered.set(digest, { caller, at })
      return caller
    } catch (error) {
      if (!(error instanceof CannotAsk)) throw error
      this.onTrouble(error)
      if (known?.caller && age < KEPT) return known.caller
      throw new Problem(
        'store_unavailable',
        'The kube-apiserver cannot be asked at the moment whose this token is. Send the same request again.',
        { retryAfter: 1 },
      )
    }
  }
}

const USERNAME = /^system:serviceaccount:([^:]+):([^:]+)$/

function accountOf(username: string | null): string | undefined {
  const [, namespace, name] = USERNAME.exec(username ?? '') ?? []
  return namespace === undefined ? undefined : `${namespace}/${name}`
}

/** Whom a token (JWT) claims to be of; nothing of it is proven. Null: it is none. */
function subjectOf(token: string): string | null {
  const [, claims, , more] = token.split('.')
  if (claims === undefined || more !== undefined) return null
  try {
    const { sub } = JSON.parse(Buffer.from(claims, 'base64url').toString())
    return typeof sub === 'string' ? sub : null
  } catch {
    return null
  }
}
