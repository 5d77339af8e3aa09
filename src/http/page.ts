import { createHash } from 'node:crypto'
import { invalidField } from '../core/errors.js'
import { AddressError, parseAddress } from '../core/ip.js'
import type { Page } from '../schemas/common.js'

/**
 * The pages of one list. Cursors are opaque to callers: the key of the last item they saw. So a page begins after it,
 * whatever was added or removed meanwhile. Each holds a sum over the list's name and the key: one of another list, or
 * one that was altered on its way, is refused, and does not begin somewhere.
 */
export class Pages<Key extends string | number | object> {
  constructor(
    private readonly list: string,
    private readonly fits: (key: unknown) => key is Key,
  ) {}

  /** @throws Problem validation_failed, unless it is a cursor of this list */
  after(cursor: string | undefined): Key | null {
    if (cursor === undefined) return null
    try {
      const text = Buffer.from(cursor.slice(SUM), 'base64url').toString('utf8')
      const key: unknown = JSON.parse(text)
      if (this.#encode(text) === cursor && this.fits(key)) return key
    } catch {
      // Not ours: said below.
    }
    throw invalidField('?cursor', NO_CURSOR)
  }

  /** Cuts what was read, one item more than asked for, to a page: the one more says that there is a next. */
  page<Row, Item>(
    rows: readonly Row[],
    limit: number,
    shape: (row: Row) => Item,
    keyOf: (row: Row) => Key,
  ): Page<Item> {
    const items = rows.slice(0, limit)
    const last = items.at(-1)
    return {
      items: items.map(shape),
      nextCursor: rows.length > limit && last !== undefined ? this.#encode(JSON.stringify(keyOf(last))) : null,
    }
  }

  #encode(text: string): string {
    const sum = createHash('sha256').update(`${this.list}\0${text}`).digest('base64url').slice(0, SUM)
    return sum + Buffer.from(text).toString('base64url')
  }
}

/** How many characters of a cursor are its sum. */
const SUM = 8

export const NO_CURSOR = 'It is not a cursor of this list. Take nextCursor as it came, or leave it out.'

export function isRowId(key: unknown): key is number {
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
