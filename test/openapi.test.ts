import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type Any, document, everything, operations, resolve, text, whole } from './support/openapi.js'

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

t.test('every operation says who may call it', async (t) => {
  for (const [name, , operation] of operations()) {
    if (operation.security?.length !== 0) t.match(operation.description, /^Roles: [a-z, ]+\.$/m, name)
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
    // What Kubernetes sends has more fields with every release.
    if (!schema || name === 'POST /hooks/kubernetes/nodes') continue
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
    'GET /v1/findings',
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
