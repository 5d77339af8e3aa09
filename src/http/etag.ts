import { invalidField } from '../core/errors.js'

/** The ETag that shows a number: a sequence, or a revision. */
export function etagOf(number: number): string {
  return `"${number}"`
}

const ONE = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/

/**
 * Reads an If-Match header (RFC 9110): one ETag, several, or `*`.
 * @returns whether a thing with this number is meant; undefined without a header. A weak ETag never is.
 * @throws Problem validation_failed
 */
export function meantBy(header: string | undefined): ((number: number) => boolean) | undefined {
  if (header === undefined) return undefined
  if (header.trim() === '*') return () => true
  const strong = new Set<string>()
  for (const text of header.split(',')) {
    const match = ONE.exec(text.trim())
    if (!match) throw invalidField('If-Match', 'It has to be an ETag in quotes, such as "17", several, or *.')
    if (!match[1]) strong.add(match[2]!)
  }
  return (number) => strong.has(String(number))
}
