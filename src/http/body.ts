import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest, preValidationHookHandler } from 'fastify'
import { invalidField, Problem } from '../core/errors.js'
import { isSilent } from './errors.js'

/** The largest body, in bytes. */
export const BODY_LIMIT = 2 * 1024 * 1024

/** Has the app read bodies as JSON, and refuse one where none is asked for: what it says would not be done. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      const [value, text] = parseJson(body)
      if (text !== '') refuseRepeated(text, request)
      done(null, value)
    } catch (error) {
      done(error as Error)
    }
  })
  // Of any other type, or none: nothing but an empty body, which says how long it is only by its end.
  app.addContentTypeParser('*', async (_request: FastifyRequest, payload: FastifyRequest['raw']) => {
    for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
      if (chunk.length > 0) throw new Problem('unsupported_media_type', 'Send the body as application/json.')
    }
    return undefined
  })
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    // A type of nothing says nothing: `curl -d ''` calls it a form.
    if (raw.headers['content-type'] !== undefined && !hasBody(raw)) delete raw.headers['content-type']
    done()
  })
  app.addHook('onRoute', (route) => {
    // What is not in the API description (pages, what is passed on) sees to it by itself.
    if (!route.schema || route.schema.hide || route.schema.body !== undefined) return
    route.preValidation = [refuseBody, ...[route.preValidation ?? []].flat()]
  })
}

/**
 * Has a plugin read bodies that people do not write: no field is looked for twice in them, which takes longer than all else
 * with a body of many thousand characters.
 */
export function readBodiesOfMachines(app: FastifyInstance): void {
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    try {
      done(null, parseJson(body)[0])
    } catch (error) {
      done(error as Error)
    }
  })
}

const refuseBody: preValidationHookHandler = (request, _reply, done) => {
  // An empty object says nothing. Of GET and HEAD no body is ever read.
  const says = request.body !== undefined && JSON.stringify(request.body) !== '{}'
  if (!says && !(['GET', 'HEAD'].includes(request.method) && hasBody(request.raw))) return done()
  done(invalidField('', 'This takes no body. Leave it out; what can be said of it belongs in the query.'))
}

function hasBody({ headers }: FastifyRequest['raw']): boolean {
  return headers['transfer-encoding'] !== undefined || !/^0*$/.test(headers['content-length'] ?? '')
}

/** The value and its text. No body is no JSON either: routes that need one say so. */
function parseJson(body: Buffer): [value: unknown, text: string] {
  if (body.length === 0) return [undefined, '']
  const text = body.toString()
  let value: unknown
  try {
    if (isUtf8(body)) value = JSON.parse(text)
  } catch {}
  // JSON has no undefined.
  if (value === undefined) throw new Problem('malformed_json', 'The body cannot be read as JSON in UTF-8.')
  return [value, text]
}

function refuseRepeated(text: string, request: FastifyRequest): void {
  const repeated = repeatedField(text)
  if (repeated === undefined) return
  throw invalidField(
    isSilent(request) ? '' : repeated,
    'A field stands here more than once. Which one counts nobody could say.',
  )
}

/** An object or array that is open where the text is being read: the names in it so far, or how many items. */
type Open = { names: Set<string>; name: string } | { index: number }

/**
 * The JSON Pointer of a field that its object has twice; undefined if there is none. JSON.parse keeps the last one and
 * says nothing.
 * @param text JSON that can be parsed
 */
export function repeatedField(text: string): string | undefined {
  const open: Open[] = []
  // Whether a text that comes next is a field's name.
  let nameNext = false
  for (let at = 0; at < text.length; at++) {
    const inside = open.at(-1)
    switch (text[at]) {
      case '{':
        open.push({ names: new Set(), name: '' })
        nameNext = true
        break
      case '[':
        open.push({ index: 0 })
        nameNext = false
        break
      case '}':
      case ']':
        open.pop()
        nameNext = false
        break
      case ',':
        if (inside && 'index' in inside) inside.index++
        else nameNext = true
        break
      case '"': {
        const end = endOfText(text, at)
        if (nameNext && inside && 'names' in inside) {
          inside.name = JSON.parse(text.slice(at, end + 1))
          if (inside.names.has(inside.name)) return pointerOf(open)
          inside.names.add(inside.name)
          nameNext = false
        }
        at = end
      }
    }
  }
  return undefined
}

/** Where the quote is that ends the text which begins with the quote at `start`. */
function endOfText(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

function pointerOf(open: readonly Open[]): string {
  return open
    .map((one) => ('index' in one ? one.index : one.name.replace(/~/g, '~0').replace(/\//g, '~1')))
    .map((step) => `/${step}`)
    .join('')
}
