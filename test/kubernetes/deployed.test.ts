import { cp, readFile, rename, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { blocksRunIn, readText } from '../repository/markdown.js'
import type { Service } from '../support/service.js'
import { type Lab, startLab } from './lab.js'
import { apply, built, makeCertificate, settingsOf, shell } from './manifests.js'
import { startInCluster, until } from './service.js'

// The service runs beside the cluster, with what the Deployment gives it: its settings, its ServiceAccount, its certificate.
// The kube-apiserver finds it as it would find a Pod, by the Service edge-ipam-webhook: the test makes the Endpoints.

const EDGE = 'node-role.kubernetes.io/edge'

/** An address of this machine that Endpoints may name: not a loopback. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((one) => one ?? [])
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found === undefined) throw new Error('this machine has no IPv4 address but that of its loopback')
  return found.address
}

/** Writes the certificate of the Secret into the folder, as the kubelet would. */
async function mountCertificate(lab: Lab, folder: string): Promise<void> {
  const { body } = await lab.ask('GET', '/api/v1/namespaces/edge-ipam/secrets/edge-ipam-webhook-tls')
  for (const name of ['tls.key', 'tls.crt']) {
    await writeFile(join(folder, `${name}.new`), Buffer.from(body.data[name], 'base64'))
    await rename(join(folder, `${name}.new`), join(folder, name))
  }
}

async function startAsDeployed(t: Test, lab: Lab, env: Record<string, string> = {}): Promise<Service> {
  const manifests = await built(lab, 'inside')
  await apply(lab, manifests)
  await makeCertificate(lab)
  await mountCertificate(lab, lab.folder)
  const token = await lab.tokenOf('edge-ipam', 'edge-ipam')
  const ports = ['PORT', 'EDGE_IPAM_NORTHBOUND_PORT', 'EDGE_IPAM_JOIN_PORT', 'EDGE_IPAM_WEBHOOK_PORT']
  const host = ownAddress()
  const service = await startInCluster(t, lab, {
    kubeconfig: await lab.kubeconfigFor('edge-ipam', token),
    env: {
      ...settingsOf(manifests),
      ...Object.fromEntries(ports.map((name) => [name, '0'])),
      HOST: host,
      EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: join(lab.folder, 'tls.crt'),
      EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: join(lab.folder, 'tls.key'),
      ...env,
    },
  })
  await lab.ask('POST', '/api/v1/namespaces/edge-ipam/endpoints', {
    metadata: { name: 'edge-ipam-webhook' },
    subsets: [
      { addresses: [{ ip: host }], ports: [{ name: 'webhook', port: Number(new URL(service.ready.webhook!).port) }] },
    ],
  })
  return service
}

const node = (name: string, labels: Record<string, string> = { [EDGE]: '' }) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })

const report = (name: string, address: string) => [
  ...['patch', 'node', name, '--subresource=status', '--type=merge', '--patch'],
  JSON.stringify({ status: { addresses: [{ type: 'InternalIP', address }] } }),
]

async function reviews(service: Service): Promise<number> {
  const { text } = await service.call('GET', '/metrics')
  const counted = [...text.matchAll(/^edge_ipam_hook_reviews_total\{.*\} (\d+)$/gm)]
  return counted.reduce((sum, [, count]) => sum + Number(count), 0)
}

async function lastReview(service: Service): Promise<number> {
  const { text } = await service.call('GET', '/metrics')
  return Number(/^edge_ipam_hook_last_review_timestamp_seconds (.+)$/m.exec(text)?.[1])
}

t.test('the hook, as it is deployed', async (t) => {
  const lab = await startLab(t, { flags: ['--enable-aggregator-routing=true'] })
  const service = await startAsDeployed(t, lab)

  await t.test('is asked about a node that is made, and says what it thinks of it', async (t) => {
    // The kube-apiserver has read of the hook and its Endpoints once it asks.
    const { stderr } = await until(async () => {
      const made = await lab.kubectl(['create', '--dry-run=server', '-f', '-'], node('stranger'))
      return made.stderr !== '' && made
    })
    t.match(stderr, 'Warning: edge-ipam: nobody announced node stranger')
  })

  await t.test('registers a node that reports its unique IP, and warns of another one', async (t) => {
    const { body } = await service.call('POST', '/v1/allocations', { nodeName: 'edge-1', displayIp: '192.168.1.10' })
    await lab.kubectl(['create', '-f', '-'], node('edge-1'))
    const wrong = await lab.kubectl(report('edge-1', '192.168.1.10'))
    t.match(wrong.stderr, `Warning: edge-ipam: node edge-1 reports 192.168.1.10, and its unique IP is ${body.uniqueIp}`)
    const look = async () => (await service.call('GET', `/v1/allocations/${body.uniqueIp}`)).body.state
    t.equal(await look(), 'allocated')
    t.equal((await lab.kubectl(report('edge-1', body.uniqueIp))).stderr, '')
    t.equal(await look(), 'registered')
  })

  await t.test("is not asked about what the cloud's own nodes report", async (t) => {
    await lab.kubectl(['create', '-f', '-'], node('cloud-1', {}))
    const before = await reviews(service)
    await lab.kubectl(report('cloud-1', '192.0.2.17'))
    await lab.kubectl(['label', 'node', 'cloud-1', 'site=here'])
    t.equal(await reviews(service), before)
    await lab.kubectl(report('edge-1', '192.168.1.11'))
    t.equal(await reviews(service), before + 1, 'though about those of the edge it is')
  })

  await t.test('has its certificate renewed, and no node passes unseen meanwhile', async (t) => {
    const seen = async (address: string) =>
      t.match((await lab.kubectl(report('edge-1', address))).stderr, 'unique IP is')
    const before = (await lab.kubectl(['get', 'mutatingwebhookconfiguration', 'edge-ipam', '-o', 'json'])).stdout
    await cp(join(lab.folder, 'tls.crt'), join(lab.folder, 'old.crt'))
    await makeCertificate(lab)
    const after = (await lab.kubectl(['get', 'mutatingwebhookconfiguration', 'edge-ipam', '-o', 'json'])).stdout
    t.not(
      JSON.parse(after).webhooks[1].clientConfig.caBundle,
      JSON.parse(before).webhooks[1].clientConfig.caBundle,
      'the kube-apiserver is told of another authority',
    )
    await seen('192.168.1.12')
    await mountCertificate(lab, lab.folder)
    await until(async () => service.lines.some((line) => /certificate/.test(line)))
    await seen('192.168.1.13')
    await apply(lab, await built(lab, 'inside'))
    const applied = (await lab.kubectl(['get', 'mutatingwebhookconfiguration', 'edge-ipam', '-o', 'json'])).stdout
    t.equal(
      JSON.parse(applied).webhooks[1].clientConfig.caBundle,
      JSON.parse(after).webhooks[1].clientConfig.caBundle,
      'and keeps it when all is applied again',
    )
  })

  await t.test('stands in nobody’s way when it is gone', async (t) => {
    await service.kill9()
    t.match((await lab.kubectl(report('edge-1', '192.168.1.14'))).stdout, /node\/edge-1 patched/)
  })
})

t.test('a hook that asks for a certificate', async (t) => {
  const flags = ['--enable-aggregator-routing=true']
  const lab = await startLab(t, { flags })
  const [openssl = '', ...files] = blocksRunIn('test/kubernetes/deployed.test.ts', readText('docs/kubernetes.md'))
  await shell(lab, openssl)
  const client = join(lab.folder, 'webhook-client.crt')
  const service = await startAsDeployed(t, lab, { EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE: client })

  await t.test('is passed by in silence where none is shown, and the metric tells', async (t) => {
    await until(async () => {
      const { stderr } = await lab.kubectl(['create', '--dry-run=server', '-f', '-'], node('stranger'))
      t.equal(stderr, '')
      return (await readFile(join(lab.folder, 'apiserver.log'), 'utf8')).includes(
        'failing open created.nodes.edge-ipam',
      )
    })
    t.equal(await lastReview(service), 0)
  })

  await t.test('is asked once the kube-apiserver has one, as docs/kubernetes.md says', async (t) => {
    for (const text of files) {
      const [, name] = /^# (\S+)\n/.exec(text)!
      await writeFile(join(lab.folder, name!), text.replaceAll('/etc/kubernetes/edge-ipam', lab.folder))
    }
    const before = Date.now() / 1_000
    await lab.apiserver.stop()
    flags.push(`--admission-control-config-file=${join(lab.folder, 'admission.yaml')}`)
    await lab.apiserver.start()
    await until(async () => {
      const { stderr } = await lab.kubectl(['create', '--dry-run=server', '-f', '-'], node('stranger'))
      return /nobody announced node stranger/.test(stderr)
    })
    t.ok((await lastReview(service)) >= before)
  })
})
