import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ConfigError, readConfig, strangers } from '../src/config/config.js'

const certificate = (name: string) => fileURLToPath(new URL(`./support/tls/${name}`, import.meta.url))
const tls = { EDGE_IPAM_TLS_CERT_FILE: certificate('first.crt'), EDGE_IPAM_TLS_KEY_FILE: certificate('first.key') }

/** What is wrong with these settings. */
function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('what is right is taken', async (t) => {
  t.match(
    readConfig({
      ...tls,
      EDGE_IPAM_NORTHBOUND_PORT: '8081',
      EDGE_IPAM_JOIN_PORT: '0',
      EDGE_IPAM_TRUSTED_PROXIES: '10.0.0.0/8, fd00::1',
    }),
    {
      northboundPort: 8081,
      joinPort: 0,
      tlsCertFile: tls.EDGE_IPAM_TLS_CERT_FILE,
      trustedProxies: ['10.0.0.0/8', 'fd00::1'],
    },
  )
  t.match(readConfig({}), {
    northboundPort: undefined,
    joinPort: undefined,
    tlsCertFile: undefined,
    trustedProxies: [],
  })
  t.same(problemsOf({ PORT: '0', EDGE_IPAM_NORTHBOUND_PORT: '0', EDGE_IPAM_JOIN_PORT: '0' }), [], '0 is not one port')
})

t.test('what is wrong is named, with its value and the way out', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-config-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const garbage = join(folder, 'garbage.pem')
  writeFileSync(garbage, 'not a certificate\n')
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: '8080', EDGE_IPAM_JOIN_PORT: '8080' }, /^EDGE_IPAM_JOIN_PORT=8080: is PORT's already$/],
    [{ EDGE_IPAM_NORTHBOUND_PORT: '8080' }, /^EDGE_IPAM_NORTHBOUND_PORT=8080: is PORT's already$/],
    [{ EDGE_IPAM_JOIN_PORT: '70000' }, /^EDGE_IPAM_JOIN_PORT=70000: has to be a whole number from 0 to 65535$/],
    [
      { EDGE_IPAM_TLS_CERT_FILE: certificate('first.crt') },
      /^EDGE_IPAM_TLS_CERT_FILE and .*: one is of no use without the other$/,
    ],
    [{ EDGE_IPAM_TLS_KEY_FILE: certificate('first.key') }, /one is of no use without the other$/],
    [
      { ...tls, EDGE_IPAM_TLS_KEY_FILE: join(folder, 'none') },
      /^EDGE_IPAM_TLS_KEY_FILE=.*none: cannot be read \(ENOENT\)$/,
    ],
    [
      { ...tls, EDGE_IPAM_TLS_KEY_FILE: certificate('second.key') },
      /the key that belongs to it, not encrypted \(.*key values mismatch/,
    ],
    [{ ...tls, EDGE_IPAM_TLS_CERT_FILE: garbage }, /have to be a certificate in PEM/],
    [
      { EDGE_IPAM_TRUSTED_PROXIES: '10.0.0.0/8,proxy,10.0.0.1/8' },
      /^EDGE_IPAM_TRUSTED_PROXIES=.*: proxy, 10\.0\.0\.1\/8: has to be/,
    ],
    [{ EDGE_IPAM_TRUSTED_PROXIES: '::/0' }, /not all there are$/],
  ]
  for (const [env, message] of cases) {
    const problems = problemsOf(env)
    t.equal(problems.length, 1, JSON.stringify(env))
    t.match(problems[0], message)
  }
})

t.test('a variable that looks like a setting and is none is noticed, and not those that others set', async (t) => {
  const env = {
    EDGE_IPAM_NORTHBONUD_PORT: '8081',
    EDGE_IPAM_POOL: '10.0.0.0/8',
    EDGE_IPAM_ADMIN_TOKEN_FILE: '/run/token',
    EDGE_IPAM_TOKEN: 'of the join script',
    EDGE_IPAM_PORT: 'tcp://10.96.0.7:8080',
    EDGE_IPAM_PORT_8080_TCP_ADDR: '10.96.0.7',
    EDGE_IPAM_SERVICE_HOST: '10.96.0.7',
    EDGE_IPAM_SERVICE_PORT_HTTP: '8080',
    PORT: '0',
  }
  t.same(strangers(env), ['EDGE_IPAM_NORTHBONUD_PORT'])
})
