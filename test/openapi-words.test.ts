import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { type ProblemCode, problems } from '../src/core/errors.js'
import { statusOf } from '../src/http/errors.js'
import { formats } from '../src/http/validation.js'
import { type Any, document, everything, examplesOf, operations, whole } from './support/openapi.js'

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
    'dns-suffix': fc.oneof(fc.constant('.'), fc.stringMatching(/^[a-z0-9.-]{1,40}$/)),
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
