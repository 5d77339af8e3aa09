import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { blocksRunIn, readText } from '../repository/markdown.js'
import { joinNode, reportNode } from './cluster.js'
import { startLab } from './lab.js'
import { startInCluster, until } from './service.js'
import { installHook } from './webhook.js'

t.test('rewriting is switched on later: an empty patch of each status makes it true at once', async (t) => {
  const lab = await startLab(t)
  const certificate = await lab.certificate('hook', '/CN=edge-ipam', ['127.0.0.1'])
  const service = await startInCluster(t, lab, {
    env: {
      EDGE_IPAM_HOOK: 'rewrite',
      EDGE_IPAM_CLOUDCORE: 'patched',
      EDGE_IPAM_WEBHOOK_PORT: '0',
      EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: certificate.cert,
      EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: certificate.key,
    },
  })
  const names = ['hamburg-cam-1', 'munich-cam-1', 'berlin-cam-1']
  const unique = new Map<string, string>()
  for (const nodeName of names) {
    unique.set(nodeName, (await service.call('POST', '/v1/allocations', { nodeName })).body.uniqueIp)
    await joinNode(lab, nodeName, '192.168.1.10')
  }
  await joinNode(lab, 'cloud', '172.31.0.4', { edge: false })
  const addressesOf = async (name: string) => (await lab.ask('GET', `/api/v1/nodes/${name}`)).body.status.addresses
  const reported = (name: string, address: string) => [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: name },
  ]
  for (const name of names) t.same(await addressesOf(name), reported(name, '192.168.1.10'))

  await installHook(lab, service.ready.webhook!, lab.authority)
  // It begins to be asked a moment later.
  await until(async () => {
    await lab.ask('PATCH', '/api/v1/nodes/cloud', {})
    return /edge_ipam_hook_reviews_total\{outcome="passed"\} [1-9]/.test((await service.call('GET', '/metrics')).text)
  })
  const [command] = blocksRunIn('test/kubernetes/rewrite.test.ts', readText('docs/kubernetes.md'))
  const env = {
    ...process.env,
    KUBECONFIG: lab.kubeconfig,
    PATH: `${process.env.EDGE_IPAM_TEST_CONTROL_PLANE}:${process.env.PATH}`,
  }
  await promisify(execFile)('sh', ['-ec', command!], { env })
  for (const name of names) t.same(await addressesOf(name), reported(name, unique.get(name)!))

  await t.test('and what an edge sets back is rewritten with the same request', async (t) => {
    await reportNode(lab, 'hamburg-cam-1', '192.168.1.10')
    t.same(await addressesOf('hamburg-cam-1'), reported('hamburg-cam-1', unique.get('hamburg-cam-1')!))
  })
  await t.test('a node of the cloud keeps its own', async (t) => {
    t.same(await addressesOf('cloud'), reported('cloud', '172.31.0.4'))
  })
})
