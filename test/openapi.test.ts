import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { openapiDocument } from '../src/cli/openapi.js'
import { type ProblemCode, problems } from '../src/core/errors.js'
import { statusOf } from '../src/http/errors.js'
import { formats } from '../src/http/validation.js'

// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
type Any = any

const text = await openapiDocument()
const document: Any = JSON.parse(text)
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

function* operations(): Generator<[name: string, path: string, operation: Any, shared: Any[]]> {
  for (const [path, item] of Object.entries<Any>(document.paths)) {
    for (const method of methods) {
      if (item[method]) yield [`${method.toUpperCase()} ${path}`, path, item[method], item.parameters ?? []]
    }
  }
}

function* everything(value: unknown, pointer = '#'): Generator<[pointer: string, value: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [pointer, value as Record<string, unknown>]
  for (const [key, inside] of Object.entries(value)) {
    yield* everything(inside, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
  }
}

function resolve(ref: string): unknown {
  if (!ref.startsWith('#/')) return undefined
  const steps = ref
    .slice(2)
    .split('/')
    .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'))
  return steps.reduce<Any>((at, step) => at?.[step], document)
}

/** A response, or the one that it names. */
function whole(response: Any): Any {
  return response.$ref ? resolve(response.$ref) : response
}

function examplesOf({ example, examples = {} }: Any): unknown[] {
  return [...(example === undefined ? [] : [example]), ...Object.values<Any>(examples).map((one) => one.value)]
}

t.test('openapi/openapi.json is what the routes make', async (t) => {
  const kept = await readFile(new URL('../openapi/openapi.json', import.meta.url), 'utf8').catch(() => '')
  t.ok(kept === text, 'if the change is meant: npm run openapi')
})

t.test('it is OpenAPI 3.1 with a title and a version', async (t) => {
  t.match(document.openapi, /^3\.1\.\d+$/)
  t.match(document.info, { title: /.+/, version: /.+/ })
  t.ok(Object.keys(document.paths).length > 10)
})

t.test('every $ref leads somewhere, inside the document', async (t) => {
  let seen = 0
  for (const [pointer, value] of everything(document)) {
    if (typeof value.$ref !== 'string') continue
    seen++
    t.not(resolve(value.$ref), undefined, `${pointer}: ${value.$ref}`)
  }
  t.ok(seen > 0)
})

t.test('every schema that is kept is used, and none has an $id of ours', async (t) => {
  for (const name of Object.keys(document.components.schemas)) {
    t.ok(text.includes(`"#/components/schemas/${name}"`), name)
  }
  for (const [pointer, value] of everything(document)) {
    t.notOk('$id' in value && typeof value.$id === 'string', pointer)
  }
})

t.test('every operation says what it is for and what it answers', async (t) => {
  const tags = new Set(document.tags.map((tag: Any) => tag.name))
  for (const [name, path, operation, shared] of operations()) {
    t.ok(operation.tags?.length > 0, `${name}: has a tag`)
    for (const tag of operation.tags ?? []) t.ok(tags.has(tag), `${name}: ${tag} is described`)
    t.ok(typeof operation.summary === 'string' && operation.summary !== '', `${name}: has a summary`)
    const codes = Object.keys(operation.responses ?? {})
    t.ok(
      codes.some((code) => /^[23]\d\d$/.test(code)),
      `${name}: says what it answers when all is well`,
    )
    for (const [code, response] of Object.entries<Any>(operation.responses ?? {})) {
      const { description, content } = whole(response)
      t.ok(description && description !== 'Default Response', `${name} ${code}: is described`)
      t.equal(content === undefined, code === '204', `${name} ${code}: has content, unless it is 204`)
    }
    const parameters: Any[] = [...shared, ...(operation.parameters ?? [])]
    const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1])
    const declared = parameters.filter((parameter) => parameter.in === 'path')
    t.same(
      declared.map((parameter) => parameter.name).sort(),
      [...inPath].sort(),
      `${name}: every path parameter, and no other`,
    )
    for (const parameter of declared) t.equal(parameter.required, true, `${name}: {${parameter.name}} is required`)
    const keys = parameters.map((parameter) => `${parameter.in} ${parameter.name}`)
    t.equal(new Set(keys).size, keys.length, `${name}: no parameter twice`)
    for (const parameter of parameters) t.ok(parameter.schema, `${name}: ${parameter.name} has a schema`)
  }
})

t.test('every operation has an id of its own', async (t) => {
  const ids = [...operations()].map(([, , operation]) => operation.operationId)
  for (const id of ids) t.match(id, /^[a-z][A-Za-z]+$/)
  t.equal(new Set(ids).size, ids.length)
})

t.test(
  'every operation says which codes it can answer with, and each of them has a description and an example',
  async (t) => {
    const seen = new Set<string>()
    for (const [name, , operation] of operations()) {
      t.notOk(operation.responses.default, `${name}: no answer is left open`)
      for (const [status, response] of Object.entries<Any>(operation.responses).filter(
        ([status]) => Number(status) >= 400,
      )) {
        const { description, content } = whole(response)
        const { schema, examples } = content['application/problem+json']
        const { code, status: own } = schema.allOf[1].properties
        t.same(own.enum, [Number(status)], `${name} ${status}`)
        t.same(Object.keys(examples), code.enum, `${name} ${status}: an example of each`)
        for (const one of code.enum as ProblemCode[]) {
          seen.add(one)
          t.equal(String(statusOf[one]), status, `${name} ${status}: ${one}`)
          t.ok(description.includes(`\`${one}\`: ${problems[one].means}`), `${name} ${status}: ${one} is described`)
          t.equal(examples[one].value.code, one)
        }
      }
    }
    const anywhere: string[] = ['route_not_found', 'method_not_allowed']
    const inBatches: string[] = ['batch_aborted']
    t.same([...seen, ...anywhere, ...inBatches].sort(), Object.keys(problems).sort(), 'no code is left out')
  },
)

t.test('the schema of problems has the closed list of codes, and what each means', async (t) => {
  const { code } = document.components.schemas.Problem.properties
  t.same(code.enum, Object.keys(problems))
  for (const one of Object.keys(problems) as ProblemCode[]) {
    t.ok(
      code.description.includes(`\`${one}\` (${statusOf[one]}): ${problems[one].means} ${problems[one].remedy}`),
      one,
    )
  }
})

t.test('every operation says who may call it', async (t) => {
  for (const [name, , operation] of operations()) {
    if (operation.security?.length !== 0) t.match(operation.description, /^Roles: [a-z, ]+\.$/m, name)
  }
})

t.test('every body and every answer has an example, and every example is what its schema says', async (t) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats: { 'uri-reference': true } })
  for (const [name, problem] of Object.entries(formats)) ajv.addFormat(name, (text: string) => problem(text) === null)
  ajv.addSchema({ $id: 'document', ...document })
  const fits = (pointer: string, example: unknown) => {
    const check = ajv.compile({ $ref: `document${pointer}/schema` })
    t.ok(check(example), `${pointer}: ${JSON.stringify(example)}: ${ajv.errorsText(check.errors)}`)
  }
  for (const [name, , operation] of operations()) {
    const { content } = operation.requestBody ?? {}
    if (content) t.ok(examplesOf(content['application/json']).length > 0, `${name}: the body has an example`)
    for (const [status, response] of Object.entries<Any>(operation.responses)) {
      for (const [type, media] of Object.entries<Any>(whole(response).content ?? {})) {
        t.ok(examplesOf(media).length > 0, `${name} ${status} ${type} has an example`)
      }
    }
    for (const parameter of operation.parameters ?? []) {
      if (parameter.in === 'path') t.ok(examplesOf(parameter).length > 0, `${name}: {${parameter.name}} has an example`)
    }
  }
  let seen = 0
  for (const [pointer, value] of everything(document)) {
    if (pointer.includes('/example') || typeof value.schema !== 'object') continue
    for (const example of examplesOf(value)) {
      seen++
      fits(pointer, example)
    }
  }
  t.ok(seen > 100, `${seen} examples`)
})

t.test('what the document says of the form of a text refuses nothing that the service takes', async (t) => {
  const forms = new Map<string, Any>()
  for (const [, value] of everything(document)) {
    if (typeof value.format === 'string' && value.format in formats) forms.set(value.format, value)
  }
  const samples: Record<string, fc.Arbitrary<string>> = {
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    cidr: fc.tuple(fc.ipV6(), fc.nat(128)).map(([ip, length]) => `${ip}/${length}`),
    'node-name': fc.stringMatching(/^[a-z0-9.-]{1,40}$/),
    'pool-name': fc.stringMatching(/^[a-z0-9-]{1,64}$/),
    glob: fc.stringMatching(/^[-.a-z0-9*?]{1,20}$/),
    cursor: fc.stringMatching(/^[\w-]{1,40}$/),
    label: fc.tuple(fc.string(), fc.string({ unit: 'binary' })).map(([key, value]) => `${key}=${value}`),
    text: fc.string({ unit: 'binary' }),
    'date-time': fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  }
  t.same([...forms.keys()].sort(), Object.keys(samples).sort())
  for (const [format, sample] of Object.entries(samples)) {
    const { minLength = 0, maxLength = Infinity, pattern = '' } = forms.get(format)
    const form = new RegExp(pattern, 'u')
    fc.assert(
      fc.property(fc.oneof(sample, fc.string()), (text) => {
        fc.pre(formats[format]!(text) === null)
        return form.test(text) && text.length >= minLength && text.length <= maxLength
      }),
    )
  }
})

t.test('the linter has nothing to say', async (t) => {
  const cli = fileURLToPath(new URL('../node_modules/@redocly/cli/bin/cli.js', import.meta.url))
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>((resolve) =>
    execFile(
      process.execPath,
      [cli, 'lint', '--format=json'],
      { cwd: fileURLToPath(new URL('..', import.meta.url)) },
      (error, stdout) => resolve({ code: error === null ? 0 : 1, stdout }),
    ),
  )
  t.same(JSON.parse(stdout || '{}').problems, [])
  t.equal(code, 0)
})

t.test('what is open says so, all else takes the token', async (t) => {
  const open = new Set<string>()
  for (const [, path, operation] of operations()) if (operation.security?.length === 0) open.add(path)
  t.same([...open].sort(), ['/join.sh', '/livez', '/readyz'])
  t.ok(document.security.length > 0)
  for (const requirement of document.security) {
    for (const scheme of Object.keys(requirement))
      t.match(document.components.securitySchemes[scheme], { type: 'http', scheme: 'bearer' })
  }
})

t.test('what is unknown is refused by the document, too: every body is closed', async (t) => {
  for (const [name, , operation] of operations()) {
    const schema = operation.requestBody?.content?.['application/json']?.schema
    if (!schema) continue
    t.equal(whole(schema).additionalProperties, false, name)
  }
})

t.test('the routes that callers rely on are all there', async (t) => {
  const names = new Set([...operations()].map(([name]) => name))
  for (const name of [
    'POST /v1/pools',
    'GET /v1/pools',
    'GET /v1/pools/{name}',
    'DELETE /v1/pools/{name}',
    'POST /v1/pools/{name}/reservations',
    'DELETE /v1/pools/{name}/reservations/{id}',
    'POST /v1/allocations',
    'GET /v1/allocations',
    'GET /v1/allocations/{address}',
    'DELETE /v1/allocations/{address}',
    'DELETE /v1/nodes/{name}/allocation',
    'GET /v1/nodes',
    'GET /v1/nodes/{name}',
    'PATCH /v1/nodes/{name}',
    'DELETE /v1/nodes/{name}',
    'GET /v1/nodes/{name}/unique-ip',
    'POST /v1/nodes/{name}/registration',
    'GET /northbound/v1/nodes',
    'GET /northbound/v1/nodes/{name}',
    'PATCH /northbound/v1/nodes/{name}',
    'GET /v1/audit',
    'POST /v1/tokens',
    'GET /v1/tokens',
    'GET /v1/tokens/{id}',
    'DELETE /v1/tokens/{id}',
    'GET /livez',
    'GET /readyz',
    'GET /join.sh',
  ]) {
    t.ok(names.has(name), name)
  }
})
