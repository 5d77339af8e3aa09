import { hash, randomBytes } from 'node:crypto'
import { type FieldError, Problem } from '../core/errors.js'
import type { NewToken, Token, TokenWithSecret } from '../schemas/admin.js'
import { writeAudit } from '../store/audit.js'
import type { Executor } from '../store/database.js'
import * as store from '../store/tokens.js'
import { transaction, withRetries } from '../store/transaction.js'
import { type Context, type Meant, signatureOf } from './context.js'

/** In hex. A secret has 256 random bits, so its plain hash tells nobody anything; a slow hash is for what people choose. */
export function digestOf(secret: string): string {
  return hash('sha256', secret, 'hex')
}

/**
 * @param now what it must not have expired by
 * @throws Problem validation_failed: a pattern, or a limit, for another role than `join`; an end that is past
 */
export function createToken(context: Context, wish: NewToken, now: Date): Promise<TokenWithSecret> {
  const errors = fieldErrorsOf(wish, now)
  if (errors[0]) throw new Problem('validation_failed', errors.map((error) => error.message).join(' '), { errors })
  // A dry run makes no secret: what nobody can use need not be random either.
  const secret = context.dryRun ? undefined : `eipam_${randomBytes(32).toString('base64url')}`
  return transaction(context.db, context.dryRun, async (trx) => {
    const row = await store.insertToken(trx, {
      id: newTokenId(),
      role: wish.role,
      digest: secret === undefined ? Buffer.alloc(32) : Buffer.from(digestOf(secret), 'hex'),
      name_pattern: wish.namePattern ?? null,
      max_uses: wish.maxUses ?? null,
      expires_at: wish.expiresAt == null ? null : new Date(wish.expiresAt),
      description: wish.description ?? null,
    })
    const token = toToken(row)
    await writeAudit(trx, { ...signatureOf(context), action: 'token.created', after: { ...token } })
    return { ...token, ...(secret !== undefined && { secret }) }
  })
}

function fieldErrorsOf(wish: NewToken, now: Date): FieldError[] {
  const errors: FieldError[] = []
  for (const field of ['namePattern', 'maxUses'] as const) {
    if (wish.role === 'join' || wish[field] == null) continue
    errors.push({ path: `/${field}`, message: `"${field}" is for tokens of the role "join" only. Leave it out.` })
  }
  if (wish.expiresAt != null && Date.parse(wish.expiresAt) <= now.getTime()) {
    errors.push({ path: '/expiresAt', message: '"expiresAt" has to lie in the future.' })
  }
  return errors
}

function newTokenId(): string {
  return randomBytes(6).toString('hex')
}

/** @throws Problem token_not_found */
export async function getToken(context: Context, id: string): Promise<Token> {
  const row = await withRetries(() => store.findToken(context.db, id))
  if (!row) throw tokenNotFound()
  return toToken(row)
}

/** Tokens by time of making; `key` is where the next page begins. */
export async function listTokens(
  context: Context,
  page: { limit: number; after: { createdAt: string; id: string } | null },
): Promise<{ token: Token; key: { createdAt: string; id: string } }[]> {
  const rows = await withRetries(() => store.listTokens(context.db, page))
  return rows.map((row) => ({ token: toToken(row), key: { createdAt: row.sort, id: row.id } }))
}

/**
 * From now on nobody gets in with it: here at once, on other replicas within a second.
 * @throws Problem token_not_found, precondition_failed
 */
export function deleteToken(context: Context, id: string, meant: Meant): Promise<void> {
  return transaction(context.db, context.dryRun, async (trx) => {
    const row = await store.deleteToken(trx, id)
    // What may be done with a token never changes, so its id is its version.
    if (meant && !(row && meant(row.id))) throw new Problem('precondition_failed', 'No such token is there any more.')
    if (!row) throw tokenNotFound()
    await writeAudit(trx, { ...signatureOf(context), action: 'token.deleted', before: { ...toToken(row) } })
  })
}

function tokenNotFound(): Problem {
  return new Problem('token_not_found', 'There is no token of this id.')
}

function toToken(row: store.TokenRow): Token {
  return {
    id: row.id,
    role: row.role,
    namePattern: row.name_pattern,
    maxUses: row.max_uses,
    uses: row.uses,
    expiresAt: row.expires_at?.toISOString() ?? null,
    description: row.description,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
  }
}

/**
 * Makes the admin token of the settings the one that counts; another one from an earlier start is dead from then on.
 * @param secret undefined: keep the one there is
 * @returns whether there is one now
 */
export function settleAdminToken(db: Executor, secret: string | undefined): Promise<boolean> {
  return transaction(db, false, async (trx) => {
    const old = await store.findBootstrapToken(trx)
    if (secret === undefined) return old !== undefined
    const digest = Buffer.from(digestOf(secret), 'hex')
    if (old?.digest.equals(digest)) return true
    const written = { actor: 'system', requestId: null }
    if (old) {
      await store.deleteToken(trx, old.id)
      await writeAudit(trx, { ...written, action: 'token.deleted', before: { ...toToken(old) } })
    }
    const row = await store.insertToken(trx, {
      id: newTokenId(),
      role: 'admin',
      digest,
      bootstrap: true,
      description: "the administrator's, from the settings",
    })
    await writeAudit(trx, { ...written, action: 'token.created', after: { ...toToken(row) } })
    return true
  })
}
