import { type Insertable, type Selectable, sql } from 'kysely'
import type { Executor } from './database.js'
import type { TokensTable } from './schema.js'

export type TokenRow = Selectable<TokensTable>

/** The token with this digest, whether it is still good or not. `expired` is the database's clock's word. */
export async function findTokenByDigest(
  db: Executor,
  digest: Buffer,
): Promise<(TokenRow & { expired: boolean }) | undefined> {
  return db
    .selectFrom('tokens')
    .selectAll()
    .select(sql<boolean>`coalesce(expires_at <= clock_timestamp(), false)`.as('expired'))
    .where('digest', '=', digest)
    .executeTakeFirst()
}

export function findToken(db: Executor, id: string): Promise<TokenRow | undefined> {
  return db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()
}

export function findBootstrapToken(db: Executor): Promise<TokenRow | undefined> {
  return db.selectFrom('tokens').selectAll().where('bootstrap', '=', true).executeTakeFirst()
}

// Microseconds, exactly: a time as text would depend on the server's settings.
const madeAt = sql<string>`(extract(epoch from created_at) * 1000000)::bigint`

/** A page of tokens, by time of making. */
export function listTokens(
  db: Executor,
  page: { limit: number; after: { createdAt: string; id: string } | null },
): Promise<(TokenRow & { sort: string })[]> {
  let query = db
    .selectFrom('tokens')
    .selectAll()
    .select(sql<string>`${madeAt}::text`.as('sort'))
    .orderBy('created_at')
    .orderBy('id')
    .limit(page.limit)
  if (page.after !== null) {
    query = query.where(sql<boolean>`(${madeAt}, id) > (${page.after.createdAt}::bigint, ${page.after.id}::text)`)
  }
  return query.execute()
}

export function insertToken(db: Executor, token: Insertable<TokensTable>): Promise<TokenRow> {
  return db.insertInto('tokens').values(token).returningAll().executeTakeFirstOrThrow()
}

export async function deleteToken(db: Executor, id: string): Promise<TokenRow | undefined> {
  return db.deleteFrom('tokens').where('id', '=', id).returningAll().executeTakeFirst()
}

export async function markTokenUsed(db: Executor, id: string): Promise<void> {
  await db.updateTable('tokens').set({ last_used_at: sql<Date>`clock_timestamp()` }).where('id', '=', id).execute()
}
