import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { blocksRunIn, readText } from '../repository/markdown.js'
import { CLIENTS, makeDevice, missing, SHELLS, TOKEN } from './device.js'

const env = { EDGE_IPAM_TOKEN: TOKEN }
const skip = missing('openssl', 'curl', 'wget') ?? false
const folder = t.testdir({})
const file = (name: string) => join(folder, name)
const openssl = (...args: string[]) =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

/** A certificate with its key in NAME.pem and NAME.key: signed by `issuer`, or by itself. */
function makeCertificate(name: string, issuer: string | null, extensions: string[]) {
  const signer = issuer === null ? [] : ['-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`)]
  const extra = extensions.flatMap((extension) => ['-addext', extension])
  openssl(
    'req',
    '-x509',
    ...KEY,
    ...signer,
    '-subj',
    `/CN=${name}`,
    ...extra,
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.pem`),
  )
}

/** The same with days that are long over, for which `req` has no option. */
function makeExpired(name: string, extension: string) {
  openssl('req', '-new', ...KEY, '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file('request.pem'))
  writeFileSync(file('index.txt'), '')
  const lines = ['default_ca=d', '[d]', 'database=index.txt', 'new_certs_dir=.', 'default_md=sha256', 'policy=p']
  const more = ['rand_serial=yes', 'x509_extensions=e', '[p]', 'commonName=supplied', '[e]', extension, '']
  writeFileSync(file('ca.cnf'), ['[ca]', ...lines, ...more].join('\n'))
  const days = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z']
  const files = ['-keyfile', `${name}.key`, '-in', 'request.pem', '-out', `${name}.pem`]
  const args = ['ca', '-batch', '-config', 'ca.cnf', '-selfsign', '-notext', ...days, ...files]
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
}

const [documented] = blocksRunIn('test/join/tls.test.ts', readText('docs/joining.md')) as [string]

/** The fingerprint, by the command that the documentation gives. */
function fingerprint(name: string): string {
  copyFileSync(file(`${name}.pem`), file('ca.pem'))
  return execFileSync('sh', ['-c', documented], { cwd: folder, encoding: 'utf8' }).trim()
}

/** An https server that gives an address, with the certificates of these names as its chain; `asked` counts its requests. */
async function serve(t: Test, chain: string[]) {
  const seen = { asked: 0, url: '' }
  const options = {
    key: readFileSync(file(`${chain[0]}.key`)),
    cert: chain.map((name) => readFileSync(file(`${name}.pem`))).join(''),
  }
  const server = createServer(options, (request, response) => {
    seen.asked++
    if (request.method === 'GET') response.writeHead(404).end('{"code":"node_not_found"}')
    else response.writeHead(201).end('10.213.0.7\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  seen.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  return seen
}

if (!skip) {
  const here = 'subjectAltName=IP:127.0.0.1'
  const authority = ['keyUsage=critical,keyCertSign']
  makeCertificate('alone', null, [here])
  makeCertificate('root', null, authority)
  makeCertificate('other-root', null, authority)
  makeCertificate('intermediate', 'root', ['basicConstraints=critical,CA:true', ...authority])
  makeCertificate('leaf', 'intermediate', ['basicConstraints=critical,CA:false', here])
  makeCertificate('elsewhere', 'root', ['basicConstraints=critical,CA:false', 'subjectAltName=DNS:ipam.example'])
  makeExpired('expired', here)
}

t.test('a certificate of a private authority', { skip }, async (t) => {
  for (const client of CLIENTS) {
    const device = makeDevice(t, { client })
    const seen = await serve(t, ['alone'])
    const args = ['--server', seen.url, '--node-name', 'edge-1']
    const refused = await device.run(args, { env })
    t.match(
      refused,
      {
        code: 6,
        stderr:
          /^join\.sh: the certificate of \S+ is not trusted[^\n]*; give its authority with --ca-file FILE, or --ca-sha256\n$/,
      },
      client,
    )
    t.equal(seen.asked, 0, 'the token was not sent')
    t.match(await device.run([...args, '--ca-file', file('alone.pem')], { env }), { code: 0, stderr: '' }, client)
    writeFileSync(file('none.pem'), 'not a certificate\n')
    const none = await device.run([...args, '--ca-file', file('none.pem')], { env })
    t.match(none, { code: 2, stderr: /^join\.sh: the file '\S+none\.pem' .* has no certificate in PEM; .*\n$/ }, client)
  }
})

t.test('why a certificate is not trusted, and what helps against that', { skip }, async (t) => {
  const cases: [chain: string, authority: string | null, why: RegExp, advice: RegExp][] = [
    ['alone', null, /self-?signed certificate|known issuer|issued by/, /give its authority with --ca-file FILE, or /],
    ['elsewhere', 'root', /name/, /give --server the name that the certificate is for$/],
    ['expired', 'expired', /has expired/, /set this device's clock, or have the certificate renewed$/],
  ]
  for (const client of CLIENTS) {
    for (const [chain, authority, why, advice] of cases) {
      const seen = await serve(t, [chain])
      const args = ['--server', seen.url, '--node-name', 'edge-1']
      if (authority !== null) args.push('--ca-file', file(`${authority}.pem`))
      const { code, stderr } = await makeDevice(t, { client }).run(args, { env })
      t.equal(code, 6)
      const [, reason, told] = /^join\.sh: the certificate of \S+ is not trusted \((.*)\); (.*)\n$/.exec(stderr) ?? []
      t.match(reason, why, `${client}: ${chain}`)
      t.notMatch(reason, 'legitimacy')
      t.match(told, advice, `${client}: ${chain}`)
      t.equal(seen.asked, 0, 'the token was not sent')
    }
  }
})

for (const shell of SHELLS) {
  for (const client of CLIENTS) {
    t.test(`${shell} with ${client}: a pinned authority`, { skip: skip || (missing(shell) ?? false) }, async (t) => {
      const device = makeDevice(t, { shell, client })
      const run = (url: string, pin: string) =>
        device.run(['--server', url, '--node-name', 'edge-1', '--timeout', '0', '--ca-sha256', pin], { env })

      t.test('in every way to write it', async (t) => {
        const { url } = await serve(t, ['leaf', 'intermediate', 'root'])
        const printed = fingerprint('root')
        const hex = printed.replace(/.*=/, '').replaceAll(':', '')
        for (const pin of [printed, hex, hex.toLowerCase(), `sha256:${hex.toLowerCase()}`]) {
          t.match(await run(url, pin), { code: 0, stderr: '' }, pin)
        }
      })

      t.test('the root, an intermediate, the certificate itself: whichever is presented', async (t) => {
        const { url } = await serve(t, ['leaf', 'intermediate', 'root'])
        for (const name of ['root', 'intermediate'])
          t.match(await run(url, fingerprint(name)), { code: 0, stderr: '' }, name)
        const alone = await serve(t, ['alone'])
        t.match(await run(alone.url, fingerprint('alone')), { code: 0, stderr: '' })
      })

      t.test('a root that the service does not present cannot be found by its fingerprint', async (t) => {
        const seen = await serve(t, ['leaf', 'intermediate'])
        t.match(await run(seen.url, fingerprint('root')), {
          code: 6,
          stderr:
            /^join\.sh: none of the 2 certificates that https:\S+ presents has the fingerprint of --ca-sha256; .*--ca-file FILE\n$/,
        })
        t.equal(seen.asked, 0, 'the token was not sent')
      })

      t.test('another authority, also one that is presented beside', async (t) => {
        const seen = await serve(t, ['leaf', 'intermediate', 'root'])
        t.match(await run(seen.url, fingerprint('other-root')), { code: 6 })
        // An impostor can present a certificate that it has no key for; its own is not signed by it.
        const impostor = await serve(t, ['alone', 'root'])
        t.match(await run(impostor.url, fingerprint('root')), { code: 6, stderr: /is not trusted/ })
        t.equal(seen.asked + impostor.asked, 0, 'the token was not sent')
      })

      t.test('the host has to be the one that the certificate is for', async (t) => {
        const seen = await serve(t, ['elsewhere', 'root'])
        t.match(await run(seen.url, fingerprint('root')), { code: 6, stderr: /is not trusted/ })
        t.equal(seen.asked, 0)
      })

      t.test('nothing there, or no TLS there', async (t) => {
        t.match(await run('https://127.0.0.1:1', fingerprint('root')), { code: 5, stderr: /could not be reached/ })
      })

      t.test('without openssl', async (t) => {
        const bare = makeDevice(t, { shell, client, without: ['openssl'] })
        const args = ['--server', 'https://127.0.0.1:1', '--node-name', 'edge-1', '--ca-sha256', 'ab'.repeat(32)]
        t.match(await bare.run(args, { env }), {
          code: 3,
          stderr: /^join\.sh: --ca-sha256 needs openssl, which is not here; install it, or .*--ca-file FILE\n$/,
        })
      })
    })
  }
}
