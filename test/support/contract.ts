import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
type Any = any

const document: Any = JSON.parse(readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'))
const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false })
ajv.addSchema({ $id: 'document', ...document })
const checks = new Map<string, ValidateFunction>()

const templates = Object.keys(document.paths)
  .map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`) }))
  // What is spelled out goes before what is a parameter.
  .sort((a, b) => a.path.split('{').length - b.path.split('{').length)

/** What an answer was. */
export interface Answered {
  status: number
  headers: Headers
  body: unknown
  text: string
}

/** What is in an answer and not in the OpenAPI document; null if nothing is, or the request is for none of its operations. */
export function undocumented(method: string, path: string, answer: Answered): string | null {
  const [bare] = path.split('?')
  const template = templates.find(({ pattern }) => pattern.test(bare!))?.path
  const verb = method === 'HEAD' ? 'get' : method.toLowerCase()
  const operation = template === undefined ? undefined : document.paths[template][verb]
  // What a listener does not serve, or a path not take, is the same for all paths.
  if (!operation || answer.status === 405 || (answer.body as Any)?.code === 'route_not_found') return null
  const name = `${method} ${template}: ${answer.status}`
  const { $ref, ...own } = operation.responses[answer.status] ?? {}
  const pointer =
    $ref ?? `#/paths/${template!.replaceAll('~', '~0').replaceAll('/', '~1')}/${verb}/responses/${answer.status}`
  const response = $ref === undefined ? own : document.components.responses[$ref.split('/').at(-1)]
  if (!response.description) return `${name} is no answer of it: ${answer.text.slice(0, 300)}`
  for (const [header, { schema }] of Object.entries<Any>(response.headers).filter(([, one]) => one.schema)) {
    const value = answer.headers.get(header)
    if (value === null || (schema.pattern && !new RegExp(schema.pattern).test(value)))
      return `${name}: ${header}: ${value}`
  }
  if (method === 'HEAD') return null
  const type = answer.headers.get('content-type')?.split(';')[0]
  if (response.content === undefined) return answer.text === '' ? null : `${name} has content: ${answer.text}`
  if (!response.content[type ?? '']) return `${name} is no ${type}`
  if (answer.body === undefined) return null
  const at = `document${pointer}/content/${type!.replaceAll('/', '~1')}/schema`
  const check = checks.get(at) ?? ajv.compile({ $ref: at })
  checks.set(at, check)
  return check(answer.body) ? null : `${name}: ${ajv.errorsText(check.errors)}: ${answer.text.slice(0, 300)}`
}
