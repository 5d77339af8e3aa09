import { openapiDocument } from '../../src/cli/openapi.js'

// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
export type Any = any

/** The OpenAPI document as the routes make it. */
export const text = await openapiDocument()
export const document: Any = JSON.parse(text)
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

export function* operations(): Generator<[name: string, path: string, operation: Any, shared: Any[]]> {
  for (const [path, item] of Object.entries<Any>(document.paths)) {
    for (const method of methods) {
      if (item[method]) yield [`${method.toUpperCase()} ${path}`, path, item[method], item.parameters ?? []]
    }
  }
}

/** Every object in the document, with its JSON Pointer. */
export function* everything(
  value: unknown,
  pointer = '#',
): Generator<[pointer: string, value: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [pointer, value as Record<string, unknown>]
  for (const [key, inside] of Object.entries(value)) {
    yield* everything(inside, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
  }
}

export function resolve(ref: string): unknown {
  if (!ref.startsWith('#/')) return undefined
  const steps = ref
    .slice(2)
    .split('/')
    .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'))
  return steps.reduce<Any>((at, step) => at?.[step], document)
}

/** A response, or the one that it names. */
export function whole(response: Any): Any {
  return response.$ref ? resolve(response.$ref) : response
}

export function examplesOf({ example, examples = {} }: Any): unknown[] {
  return [...(example === undefined ? [] : [example]), ...Object.values<Any>(examples).map((one) => one.value)]
}
