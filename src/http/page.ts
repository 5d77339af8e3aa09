import { invalidField } from '../core/errors.js'
import { AddressError, parseAddress } from '../core/ip.js'
import type { Page } from '../schemas/common.js'

/**
 * Cursors are opaque to callers: the key of the last item they saw. So a page begins after it, whatever was added or
 * removed meanwhile.
 */
export function encodeCursor(key: string | number | object): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

export const NO_CURSOR = 'It is not a cursor of this list. Take nextCursor as it came, or leave it out.'

/** @throws Problem validation_failed, unless it is a cursor of ours that fits */
export function decodeCursor<T>(cursor: string | undefined, fits: (key: unknown) => key is T): T | null {
  if (cursor === undefined) return null
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (fits(key)) return key
  } catch {
    // Not ours: said below.
  }
  throw invalidField('?cursor', NO_CURSOR)
}

export function isAuditId(key: unknown): key is number {
  return Number.isSafeInteger(key)
}

export function isText(key: unknown): key is string {
  return typeof key === 'string' && !key.includes('\0')
}

export function isAddressText(key: unknown): key is string {
  if (typeof key !== 'string') return false
  try {
    parseAddress(key)
    return true
  } catch (error) {
    if (error instanceof AddressError) return false
    throw error
  }
}

/** Cuts what was read, one item more than asked for, to a page: the one more says that there is a next. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  shape: (row: Row) => Item,
  keyOf: (row: Row) => string | number | object,
): Page<Item> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return {
    items: items.map(shape),
    nextCursor: rows.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null,
  }
}
