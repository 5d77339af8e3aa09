import { CannotAsk } from '../cluster/token-review.js'
import { Problem } from '../core/errors.js'
import { sourceOf } from '../core/source.js'
import type { TokenRole } from '../store/schema.js'
import type { Caller } from './context.js'
import { NoTurn, Turns } from './turns.js'

/** For so long (ms) an answer of the kube-apiserver counts. */
const FRESH = 10_000
/** While it cannot be asked, an answer that let somebody in counts for so long (ms): it restarts, callers go on. */
const KEPT = 60_000
const MAX_REMEMBERED = 1_000

const AWAY = 'the kube-apiserver cannot be asked whose a token is'
const CROWD = 'more tokens that are not known come than the kube-apiserver is asked about'

/** Who is told what goes wrong, and that it is over. Troubles of the process fit. */
export interface TroubleLog {
  met(what: string, error: Error): void
  over(what: string): void
}

/**
 * Says which role a ServiceAccount's token has, by asking the kube-apiserver. Anybody can make up tokens that claim to be of
 * one: so those that were never found good are asked about a few at a time, and one that was good is not held up by them,
 * nor forgotten for them. None of them is refused for how many there are: a good one may be among them.
 */
export class ServiceAccounts {
  /** By digest, and by when they were asked about last. */
  readonly #good = new Map<string, { caller: Caller; at: number }>()
  /** When the token of this digest was found to be nobody's. */
  readonly #nobodys = new Map<string, number>()
  readonly #asking = new Map<string, Promise<Caller | null>>()
  readonly #turns = new Turns()

  /**
   * @param review whose a token is, as the kube-apiserver knows them; null: nobody's; rejects with CannotAsk
   * @param roles by `namespace/name`; nobody else gets in
   */
  constructor(
    private readonly review: (token: string) => Promise<string | null>,
    private readonly roles: ReadonlyMap<string, TokenRole>,
    private readonly log: TroubleLog,
  ) {}

  /**
   * @param digest of the token: what is remembered is no secret
   * @param ip where it comes from
   * @returns null: not a token of a ServiceAccount that has a role here
   * @throws Problem cluster_unavailable, if the kube-apiserver cannot be asked, or has too much to be asked already
   */
  async identify(token: string, digest: string, ip: string): Promise<Caller | null> {
    const claimed = this.roles.get(accountOf(subjectOf(token)) ?? '')
    // What does not even claim to be one of them costs nobody a question.
    if (claimed === undefined) return null
    const now = performance.now()
    const known = this.#good.get(digest)
    if (known && now - known.at < FRESH) return known.caller
    if (now - (this.#nobodys.get(digest) ?? Number.NEGATIVE_INFINITY) < FRESH) return null
    try {
      return await this.#askOnce(token, digest, ip)
    } catch (error) {
      if (error instanceof NoTurn) throw unanswered('At the moment too many tokens come that nobody knows.')
      if (!(error instanceof CannotAsk)) throw error
      if (known && now - known.at < KEPT) return known.caller
      throw unanswered(`The kube-apiserver cannot be asked whose this token is: ${error.message}.`)
    }
  }

  #askOnce(token: string, digest: string, ip: string): Promise<Caller | null> {
    const asked = this.#asking.get(digest)
    if (asked) return asked
    const ask = () => this.#ask(token, digest)
    const answer = (this.#good.has(digest) ? ask() : this.#askInTurn(ip, ask)).finally(() =>
      this.#asking.delete(digest),
    )
    this.#asking.set(digest, answer)
    return answer
  }

  async #askInTurn(ip: string, ask: () => Promise<Caller | null>): Promise<Caller | null> {
    try {
      return await this.#turns.take(sourceOf(ip), ask)
    } catch (error) {
      if (error instanceof NoTurn) this.log.met(CROWD, error)
      throw error
    } finally {
      if (this.#turns.areFree) this.log.over(CROWD)
    }
  }

  async #ask(token: string, digest: string): Promise<Caller | null> {
    const at = performance.now()
    const username = await this.review(token).catch((error: Error) => {
      if (error instanceof CannotAsk) this.log.met(AWAY, error)
      throw error
    })
    this.log.over(AWAY)
    const account = accountOf(username)
    const role = account === undefined ? undefined : this.roles.get(account)
    if (role === undefined) {
      this.#good.delete(digest)
      remember(this.#nobodys, digest, at)
      return null
    }
    const caller = { role, tokenId: account!, namePattern: null, limited: false }
    remember(this.#good, digest, { caller, at })
    return caller
  }
}

/** As the newest; the oldest goes where there are too many. */
function remember<Value>(memory: Map<string, Value>, digest: string, value: Value): void {
  memory.delete(digest)
  if (memory.size >= MAX_REMEMBERED) memory.delete(memory.keys().next().value!)
  memory.set(digest, value)
}

/** Neither let in nor refused: the token may be good. */
function unanswered(why: string): Problem {
  return new Problem('cluster_unavailable', `${why} Send the same request again.`, { retryAfter: 1, told: true })
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
