import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../faults/support.js'
import { startService } from '../support/service.js'
import { certificates, post, startWithHook } from './support.js'

/** A service whose hook asks for certificates; its three files are the test's own. */
async function startGuarded(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-hook-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key'), ca: join(folder, 'ca.crt') }
  const put = (what: keyof typeof files, name: string) => copyFileSync(`${certificates}${name}`, files[what])
  put('cert', 'first.crt')
  put('key', 'first.key')
  put('ca', 'client-authority.crt')
  const service = await startWithHook(t, {
    EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: files.cert,
    EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: files.key,
    EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE: files.ca,
  })
  return { service, files, put, url: `${service.ready.webhook}/hooks/kubernetes/nodes` }
}

const isLetIn = (url: string, client?: 'client') =>
  post(url, '{}', client && { client }).then(
    ({ status }) => status === 200,
    () => false,
  )

t.test('where an authority is set, only who shows its certificate reaches the hook', async (t) => {
  const { service, url } = await startGuarded(t)
  t.equal((await post(url, '{}', { client: 'client' })).status, 200)
  await t.rejects(post(url, '{}'), 'without one')
  t.equal((await service.call('GET', '/livez')).status, 200, 'other listeners ask for none')
})

t.test('another authority is taken without a restart, and certificates of the one before no longer', async (t) => {
  const { url, put } = await startGuarded(t)
  put('ca', 'authority.crt')
  await until('those of the one before are not', async () => !(await isLetIn(url, 'client')))
  t.notOk(await isLetIn(url))
  put('ca', 'client-authority.crt')
  await until('its clients are let in', () => isLetIn(url, 'client'))
})

t.test('another certificate of the hook is served without a restart', async (t) => {
  const { url, put } = await startGuarded(t)
  put('cert', 'second.crt')
  put('key', 'second.key')
  await until('it is served', () =>
    post(url, '{}', { client: 'client', servername: 'ipam.test' }).then(
      () => true,
      () => false,
    ),
  )
  await t.rejects(post(url, '{}', { servername: 'ipam.test' }), 'and certificates are asked for as before')
})

t.test('an authority that is emptied opens the hook to nobody', async (t) => {
  const { service, files, url } = await startGuarded(t)
  writeFileSync(files.ca, '')
  await until('it is told', () => service.lines.some((line) => line.includes('has no certificate in PEM')))
  t.ok(await isLetIn(url, 'client'), 'the old one stays')
  t.notOk(await isLetIn(url))
})

t.test('an authority that none is, or that nobody asks for, is refused at the start', async (t) => {
  const { files } = await startGuarded(t)
  writeFileSync(files.ca, '')
  const EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE = files.ca
  await t.rejects(startWithHook(t, { EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE }), /CLIENT_CA_FILE=.*no certificate in PEM/)
  await t.rejects(startService(t, { env: { EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE } }), /set that, too/)
})
