import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get as plainGet } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startService } from '../support/service.js'

const certificates = fileURLToPath(new URL('../support/tls/', import.meta.url))
const ca = readFileSync(join(certificates, 'authority.crt'))

/** A service with the first certificate in files of its own, on three listeners. */
async function startTls(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  const put = (name: 'first' | 'second', what: ('certificate' | 'key')[]) => {
    for (const one of what) {
      copyFileSync(join(certificates, `${name}.${one === 'key' ? 'key' : 'crt'}`), files[one])
    }
  }
  put('first', ['certificate', 'key'])
  const service = await startService(t, {
    env: {
      EDGE_IPAM_TLS_CERT_FILE: files.certificate,
      EDGE_IPAM_TLS_KEY_FILE: files.key,
      EDGE_IPAM_NORTHBOUND_PORT: '0',
      EDGE_IPAM_JOIN_PORT: '0',
    },
  })
  return { service, files, put, urls: [service.url, service.ready.northbound!, service.ready.join!] }
}

interface Seen {
  status: number
  /** Whom the certificate is for. */
  subject: string
}

/** GET /livez; the certificate is checked for `name`. */
function live(url: string, { agent = false, name }: { agent?: Agent | false; name?: string } = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    request(`${url}/livez`, { ca, agent, ...(name && { servername: name }) }, (response) => {
      const { socket } = response as unknown as { socket: import('node:tls').TLSSocket }
      const subject = String(socket.getPeerCertificate().subject.CN)
      response.resume().on('end', () => resolve({ status: response.statusCode!, subject }))
    })
      .on('error', reject)
      .end()
  })
}

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 50))
}

t.test('with a certificate every listener speaks TLS, and nothing else', async (t) => {
  const { urls } = await startTls(t)
  for (const url of urls) {
    t.match(url, /^https:/)
    t.same(await live(url), { status: 200, subject: 'first' }, url)
    await t.rejects(
      new Promise((resolve, reject) => plainGet(url.replace('https', 'http'), resolve).on('error', reject)),
      `${url} without TLS`,
    )
  }
})

t.test('a certificate that is renewed is served without a restart, and cuts nobody off', async (t) => {
  const { urls, put } = await startTls(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  await live(urls[0]!, { agent })
  put('second', ['certificate', 'key'])
  for (const url of urls) {
    await until(async () => (await live(url, { name: 'ipam.test' }).catch(() => undefined))?.subject === 'second')
    t.pass(url)
  }
  t.same(await live(urls[0]!, { agent }), { status: 200, subject: 'first' }, 'the connection that was open goes on')
})

t.test('files that do not fit together yet change nothing, and are taken when they do', async (t) => {
  const { service, urls, files, put } = await startTls(t)
  put('second', ['certificate'])
  await until(() => service.lines.some((line) => line.includes('the old one stays')))
  t.same(await live(urls[0]!), { status: 200, subject: 'first' }, 'a new certificate with the old key')
  writeFileSync(files.certificate, '')
  rmSync(files.key)
  await until(() => service.lines.some((line) => line.includes('ENOENT')))
  t.same(await live(urls[0]!), { status: 200, subject: 'first' }, 'no files')
  put('second', ['certificate', 'key'])
  await until(async () => (await live(urls[0]!, { name: 'ipam.test' }).catch(() => undefined))?.subject === 'second')
  const told = service.lines.filter((line) => line.includes('the old one stays'))
  t.equal(new Set(told.map((line) => JSON.parse(line).cause)).size, told.length, 'each trouble is told once')
})

const curl = (() => {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

t.test('the printed curl line works when pasted', { skip: !curl && 'there is no curl' }, async (t) => {
  const { service, put } = await startTls(t)
  const env = { ...process.env, EDGE_IPAM_ADMIN_TOKEN: service.adminToken, CURL_CA_BUNDLE: '' }
  const pasted = (line: string) => JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8', env }))
  t.match(pasted(service.ready.curl), { nodeName: 'edge-1', state: 'allocated' })

  // A certificate for a name, as it is in a cluster.
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  put('second', ['certificate', 'key'])
  const named = await startService(t, {
    env: {
      EDGE_IPAM_TLS_CERT_FILE: join(certificates, 'second.crt'),
      EDGE_IPAM_TLS_KEY_FILE: join(certificates, 'second.key'),
    },
  })
  env.EDGE_IPAM_ADMIN_TOKEN = named.adminToken
  t.match(pasted(named.ready.curl), { nodeName: 'edge-1', state: 'allocated' })
})
