/**
 * Whether the caller would rather have the bare address than JSON, so that a shell script needs no JSON parser.
 * @param accept the Accept header
 */
export function wantsPlainText(accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes('text/plain')) return false
  let plain = 0
  let json = 0
  for (const part of accept.split(',')) {
    const [type, ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2)) || 0
    if (type === 'text/plain') plain = Math.max(plain, weight)
    if (type === 'application/json') json = Math.max(json, weight)
  }
  return plain > 0 && plain >= json
}
