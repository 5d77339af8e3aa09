import { createHash } from 'node:crypto'
import { invalidField } from '../core/errors.js'

/** The ETag of a version: a sequence, a revision, an id. */
export function etagOf(version: number | string): string {
  return `"${version}"`
}

/** The version of what has no number of its own: another content is another version. */
export function versionOfContent(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url').slice(0, 22)
}

const ETAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/

/**
 * Reads an If-Match header (RFC 9110): one ETag, several, or `*`.
 * @returns whether a thing of this version is meant; undefined without a header. A weak ETag never is.
 * @throws Problem validation_failed
 */
export function meantBy(header: string | undefined): ((version: number | string) => boolean) | undefined {
  if (header === undefined) return undefined
  // An ETag may hold commas itself, and a list may have empty places (RFC 9110, 5.6.1).
  let rest = header.trim().replace(/^[\s,]+/, '')
  if (rest === '*') return () => true
  const strong = new Set<string>()
  do {
    const match = ETAG.exec(rest)
    if (!match) throw notEtags()
    if (!match[1]) strong.add(match[2]!)
    rest = rest.slice(match[0].length).trimStart()
    if (rest !== '' && !rest.startsWith(',')) throw notEtags()
    rest = rest.replace(/^[\s,]+/, '')
  } while (rest !== '')
  return (version) => strong.has(String(version))
}

function notEtags() {
  return invalidField('If-Match', 'It has to be an ETag in quotes, such as "17", several, or *.')
}
