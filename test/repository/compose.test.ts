import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { settings } from '../../src/config/settings.js'
import { readText } from './markdown.js'

interface Service {
  image: string
  environment: Record<string, string>
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  stop_grace_period?: string
  ports?: string[]
}

const text = readText('docker-compose.yml')
const composition = read(text)
const replicas = Object.entries<Service>(composition.services).filter(([name]) => name.startsWith('edge-ipam-'))

const schema = JSON.parse(readText('test/vendor/compose-spec.json'))
const fits = new Ajv2020({ allErrors: true, strict: false, validateFormats: false }).compile(schema)

/** The file as Compose sees it, with every variable set to a word. */
function read(yaml: string) {
  return parse(yaml.replace(/\$\{\w+:[-?][^}]*\}/g, 'word'), { merge: true })
}

t.test('the composition is one by the schema of the Compose Specification', async (t) => {
  t.ok(fits(composition), JSON.stringify(fits.errors))
  for (const [right, wrong] of [
    ['stop_grace_period: 15s', 'stop_grace_periode: 15s'],
    ['condition: service_healthy', 'condition: service_is_healthy'],
    ['cap_drop: [ALL]', 'cap_drop: ALL'],
    ['internal: true', 'internal: [true]'],
  ] as const) {
    t.ok(text.includes(right), right)
    t.notOk(fits(read(text.replace(right, wrong))), `the schema refuses ${wrong}`)
  }
})

t.test('it has two replicas that differ in nothing but the port of the host', async (t) => {
  const [[, first], [, second], ...more] = replicas as [[string, Service], [string, Service]]
  t.strictSame(more, [])
  t.strictSame({ ...first, ports: null }, { ...second, ports: null })
  t.not(first.ports?.[0], second.ports?.[0])
})

t.test('it gives the service only settings that there are', async (t) => {
  const known = (Object.values(settings) as { variable: string; secret?: true }[]).flatMap(({ variable, secret }) =>
    secret ? [variable, `${variable}_FILE`] : [variable],
  )
  for (const [name, { environment }] of replicas) {
    const given = Object.keys(environment)
    t.ok(given.includes('DATABASE_URL'), name)
    t.strictSame(
      given.filter((variable) => !known.includes(variable)),
      [],
      name,
    )
  }
})

t.test('it has no secret of its own: without them it does not start', async (t) => {
  for (const secret of ['EDGE_IPAM_ADMIN_TOKEN', 'POSTGRES_PASSWORD']) {
    t.match(text, `\${${secret}:?`)
    t.notMatch(text, new RegExp(`\\$\\{${secret}(?!:\\?)`), secret)
  }
})

t.test('a replica writes nothing, may nothing that it does not need, and has the time it takes to end', async (t) => {
  for (const [name, service] of replicas) {
    t.equal(service.read_only, true, name)
    t.strictSame(service.cap_drop, ['ALL'], name)
    t.strictSame(service.security_opt, ['no-new-privileges:true'], name)
    t.ok(Number.parseInt(service.stop_grace_period ?? '', 10) > 10, name)
    for (const port of service.ports ?? []) t.match(port, /^127\.0\.0\.1:/, 'only this machine reaches it')
  }
})
