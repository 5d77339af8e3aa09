// What our own formats and keywords mean, for readers of the OpenAPI document: JSON Schema does not know them. The service
// itself judges by core/, whose answers say more than that a pattern does not match.

const subdomain = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'
/** As names are in DNS: each of its parts has a largest length. */
const domain = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*'
/** Control characters, but tab and the ends of lines. */
const control = '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f'
const labelPart = '[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?'

/** By format. A pattern here fits whatever the service takes; it may fit a little more. */
const forms: Record<string, object> = {
  address: { description: 'An IPv4 or IPv6 address: no leading zeros, no zone, no IPv4-mapped IPv6.' },
  cidr: { description: 'A network such as 10.213.0.0/16: no host bits set.' },
  'node-name': {
    minLength: 1,
    maxLength: 253,
    pattern: `^${subdomain}$`,
    description: 'A DNS-1123 subdomain that cannot be read as an IP address.',
  },
  'pool-name': { minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' },
  'dns-suffix': {
    minLength: 1,
    maxLength: 253,
    pattern: `^(\\.|${domain})$`,
    description: 'A domain; `.` is none.',
  },
  glob: { minLength: 1, pattern: '^[-.a-z0-9*?]+$' },
  cursor: { minLength: 1, pattern: '^[A-Za-z0-9_-]+$' },
  label: { minLength: 2, pattern: `^[^=${control}]+=[^${control}]*$`, description: 'A label: `key=value`.' },
  text: { pattern: `^[^${control}]*$` },
}

const labelKey = { maxLength: 317, pattern: `^(${subdomain}/)?${labelPart}$` }
const labelValue = { type: 'string', maxLength: 63, pattern: `^(${labelPart})?$` }

type Schema = Record<string, unknown>

/** Says in every schema in `value`, at any depth, what its format means. Changes it in place. */
export function explainForms(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const schema = value as Schema
  if (typeof schema.format === 'string') {
    const { description, ...form } = (forms[schema.format] ?? {}) as Schema
    Object.assign(schema, form)
    if (description !== undefined) schema.description ??= description
  }
  if (schema['x-labels'] === true) explainLabels(schema)
  const exactlyOne = schema['x-exactly-one'] as string[] | undefined
  if (exactlyOne) {
    delete schema['x-exactly-one']
    schema.oneOf = exactlyOne.map((name) => ({ required: [name] }))
  }
  for (const inside of Object.values(schema)) explainForms(inside)
}

function explainLabels(schema: Schema): void {
  delete schema['x-labels']
  schema.propertyNames = labelKey
  const values = schema.additionalProperties as { anyOf?: object[] }
  schema.additionalProperties = values.anyOf ? { anyOf: [labelValue, { type: 'null' }] } : labelValue
}
