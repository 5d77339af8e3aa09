import { Ajv, type ErrorObject, type Options } from 'ajv'
import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import type { FieldError } from '../core/errors.js'
import { AddressError, parseAddress, parseCidr } from '../core/ip.js'
import { dnsSuffixProblem, globProblem, labelProblem, nodeNameProblem, poolNameProblem } from '../core/names.js'
import { NO_CURSOR } from './page.js'

/** What is wrong with a text of this format, or null. The words reach the caller as they are. */
export const formats: Record<string, (text: string) => string | null> = {
  address: (text) => problemOf(() => parseAddress(text)),
  cidr: (text) => problemOf(() => parseCidr(text)),
  'node-name': nodeNameProblem,
  'pool-name': poolNameProblem,
  'dns-suffix': dnsSuffixProblem,
  glob: globProblem,
  text: textProblem,
  label: (text) => textProblem(text) ?? (/^[^=]+=/.test(text) ? null : 'It has to be key=value.'),
  cursor: (text) => (/^[\w-]+$/.test(text) ? null : NO_CURSOR),
  'date-time': (text) => (isTime(text) ? null : 'It has to be a time by RFC 3339, such as 2026-11-21T08:30:00Z.'),
}

function textProblem(text: string): string | null {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text)) return 'Control characters are not allowed in it.'
  // Half a character: no database keeps it, and none can send it back as it came.
  return /\p{Surrogate}/u.test(text) ? 'It has a lone surrogate, which is no character.' : null
}

const FIRST_INSTANT = Date.parse('0001-01-01T00:00:00Z')
const LAST_INSTANT = Date.parse('9999-12-31T23:59:59.999Z')

function isTime(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text)) return false
  // An offset may lead out of the years that are answered with four digits.
  const instant = Date.parse(text)
  // Date.parse takes 30 February for 2 March.
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  return instant >= FIRST_INSTANT && instant <= LAST_INSTANT && day.toISOString().startsWith(text.slice(0, 10))
}

/** The same formats, for a checker that is to let them pass. */
export const passedFormats: Record<string, true> = Object.fromEntries(Object.keys(formats).map((name) => [name, true]))

function problemOf(parse: () => unknown): string | null {
  try {
    parse()
    return null
  } catch (error) {
    if (error instanceof AddressError) return error.message
    throw error
  }
}

function newAjv(options: Options): Ajv {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false, removeAdditional: false, ...options })
  for (const [name, problem] of Object.entries(formats)) {
    ajv.addFormat(name, (text: string) => problem(text) === null)
  }
  ajv.addKeyword({ keyword: 'x-labels', type: 'object', errors: true, validate: checkLabels })
  return ajv
}

function checkLabels(_on: boolean, labels: Record<string, unknown>): boolean {
  const errors: Partial<ErrorObject>[] = []
  for (const [key, value] of Object.entries(labels)) {
    const problem = labelProblem(key, typeof value === 'string' ? value : '')
    if (problem !== null) errors.push({ keyword: 'x-labels', message: problem, params: { key } })
  }
  checkLabels.errors = errors
  return errors.length === 0
}
checkLabels.errors = [] as Partial<ErrorObject>[]

const ofBodies = newAjv({ useDefaults: false })
const ofTexts = newAjv({ useDefaults: true })

/** A query is text, so its numbers and booleans are read from it; in a body nothing is coerced. */
export const validatorCompiler: FastifySchemaCompiler<{ properties?: Record<string, { type?: string }> }> = ({
  schema,
  httpPart,
}) => {
  if (httpPart !== 'querystring') return (httpPart === 'body' ? ofBodies : ofTexts).compile(schema)
  const validate = ofTexts.compile(schema)
  const types = Object.entries(schema.properties ?? {})
  return (query: Record<string, unknown>) => {
    for (const [name, { type }] of types) {
      const text = query[name]
      if (typeof text === 'string') query[name] = readValue(text, type)
    }
    return validate(query) ? true : { error: validate.errors as FastifySchemaValidationError[] }
  }
}

/** The value that a text of a query stands for. What stands for none stays a text, and is refused by its type. */
function readValue(text: string, type: string | undefined): unknown {
  // Ajv's own coercion also takes 1e2, 0x10 and blanks for numbers.
  if (type === 'integer' && /^-?\d+$/.test(text)) return Number(text)
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

/**
 * A check of one item of a list whose items are good or bad each by itself.
 * @returns what is wrong with the item; its paths begin with `at`
 */
export function itemCheck(schema: object): (item: unknown, at: string) => FieldError[] {
  const validate = ofBodies.compile(schema)
  return (item, at) => {
    if (validate(item)) return []
    return fieldErrors(validate.errors ?? [], 'body', false).map((error) => ({ ...error, path: `${at}${error.path}` }))
  }
}

const MAX_ERRORS = 100

/** Of one wrong value there are a few errors, and each is compared with all: so of a body full of them only so many are. */
const MOST_LOOKED_AT = 4 * MAX_ERRORS

/**
 * Every field that is wrong, once, in words for people.
 * @param part where the fields are: 'body', 'querystring', 'params', 'headers'
 * @param silent never repeat what was sent: a name that the schema does not know is left out of the path
 */
export function fieldErrors(all: readonly ErrorObject[], part: string, silent: boolean): FieldError[] {
  const errors = all.slice(0, MOST_LOOKED_AT)
  const told = new Map<string, FieldError>()
  for (const error of errors) {
    if (isNoise(error, errors)) continue
    const path = pathOf(error, part, silent)
    const message = silent && error.keyword === 'additionalProperties' ? 'Something here is unknown.' : messageOf(error)
    if (!told.has(`${path} ${message}`)) told.set(`${path} ${message}`, { path, message })
    if (told.size === MAX_ERRORS) break
  }
  return [...told.values()]
}

/** What follows from another error. "Or null" is an anyOf: of a wrong value it says three things, of which one is meant. */
function isNoise(error: ErrorObject, all: readonly ErrorObject[]): boolean {
  if (error.keyword === 'anyOf') return all.some((other) => other.schemaPath.startsWith(`${error.schemaPath}/`))
  // A form that has a length of its own says so itself.
  if (error.keyword === 'maxLength') {
    return all.some((other) => other.keyword === 'format' && other.instancePath === error.instancePath)
  }
  // What is no text at all is not one of the texts either: it is said once.
  if (error.keyword === 'enum') {
    return all.some((other) => other.keyword === 'type' && other.instancePath === error.instancePath)
  }
  if (error.keyword !== 'type' || error.params.type !== 'null') return false
  return all.some(
    (other) => other !== error && other.keyword !== 'anyOf' && other.instancePath.startsWith(error.instancePath),
  )
}

function pathOf(error: ErrorObject, part: string, silent: boolean): string {
  const steps = error.instancePath.split('/').slice(1)
  const { missingProperty, additionalProperty, key } = error.params as Record<string, string | undefined>
  const last = missingProperty ?? (silent ? undefined : (additionalProperty ?? key))
  if (last !== undefined) steps.push(last.replace(/~/g, '~0').replace(/\//g, '~1'))
  if (silent && steps[0] === 'labels') steps.splice(1)
  if (part === 'querystring') return `?${steps.join('/')}`
  if (part === 'params') return `{${steps.join('/')}}`
  if (part === 'headers') return steps.join('/')
  return steps.map((step) => `/${step}`).join('')
}

function messageOf(error: ErrorObject): string {
  switch (error.keyword) {
    case 'format':
      return formats[error.params.format as string]?.(error.data as string) ?? 'It has the wrong form.'
    case 'x-labels':
      return error.message ?? ''
    case 'additionalProperties':
      return 'This field is unknown. Leave it out, or mend its spelling.'
    case 'required':
      return 'This field is missing.'
    case 'const':
    case 'enum': {
      const one = error.parentSchema as { enum?: unknown[]; const?: unknown }
      return `It has to be ${(one.enum ?? [one.const]).map((value) => JSON.stringify(value)).join(' or ')}.`
    }
    case 'type':
      if (error.params.type === 'boolean') return 'It has to be true or false.'
      return `It has to be ${error.params.type === 'null' ? 'null' : withArticle(error.params.type as string)}.`
    case 'minLength':
      return 'It must not be empty.'
    case 'maxLength':
      return `It is too long: at most ${error.params.limit} characters.`
    case 'minimum':
      return `It has to be ${error.params.limit} or more.`
    case 'maximum':
      return `It has to be ${error.params.limit} or less.`
    case 'minItems':
      return `Too few: at least ${error.params.limit}.`
    case 'maxItems':
      return `Too many: at most ${error.params.limit}.`
    case 'maxProperties':
      return `Too many: at most ${error.params.limit}.`
    default:
      return `It ${error.message ?? 'is not valid'}.`
  }
}

function withArticle(type: string): string {
  return `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type}`
}
