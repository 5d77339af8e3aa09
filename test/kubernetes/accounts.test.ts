import { copyFile, readFile, rename, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import t from 'tap'
import { type Lab, startLab } from './lab.js'
import { startInCluster, until } from './service.js'

const roles = 'kubeedge/cloudcore=cloudcore,monitoring/prometheus=auditor'

/** A kubeconfig of a ServiceAccount that may ask whose tokens are, and nothing else. */
async function reviewer(lab: Lab, name: string): Promise<string> {
  const token = await lab.tokenOf('edge-ipam', name)
  await lab.kubectl([
    'create',
    'clusterrolebinding',
    name,
    '--clusterrole=system:auth-delegator',
    `--serviceaccount=edge-ipam:${name}`,
  ])
  return lab.kubeconfigFor(name, token)
}

t.test('tokens of ServiceAccounts', async (t) => {
  const lab = await startLab(t)
  const service = await startInCluster(t, lab, {
    kubeconfig: await reviewer(lab, 'edge-ipam'),
    env: { EDGE_IPAM_SERVICE_ACCOUNTS: roles },
  })
  const cloudcore = await lab.tokenOf('kubeedge', 'cloudcore')
  const allocated = await service.call('POST', '/v1/allocations', { nodeName: 'hamburg-1' })

  await t.test('have the role that the settings give them', async (t) => {
    const found = await service.call('GET', '/v1/nodes/hamburg-1/unique-ip', undefined, { token: cloudcore })
    t.match(found, { status: 200, body: { uniqueIp: allocated.body.uniqueIp } })
    const prometheus = await lab.tokenOf('monitoring', 'prometheus')
    t.equal((await service.call('GET', '/metrics', undefined, { token: prometheus })).status, 200)
  })
  await t.test('may do nothing beyond it', async (t) => {
    t.equal((await service.call('POST', '/v1/pools', {}, { token: cloudcore })).status, 403)
  })
  await t.test('are told apart in the audit trail', async (t) => {
    await service.call('POST', '/v1/nodes/hamburg-1/registration', {}, { token: cloudcore })
    const { body } = await service.call('GET', '/v1/audit?actor=cloudcore:kubeedge/cloudcore')
    t.match(body.items, [{ action: 'allocation.registered', nodeName: 'hamburg-1' }])
  })
  await t.test('are nobody without a role, or when forged', async (t) => {
    const stranger = await lab.tokenOf('default', 'stranger')
    t.equal((await service.call('GET', '/v1/nodes', undefined, { token: stranger })).status, 401)
    const [head, claims] = cloudcore.split('.')
    const forged = [head, claims, Buffer.from('not the signature').toString('base64url')].join('.')
    t.equal((await service.call('GET', '/v1/nodes/hamburg-1/unique-ip', undefined, { token: forged })).status, 401)
    const reviews = (await lab.audited()).filter(({ resource }) => resource === 'tokenreviews')
    t.equal(reviews.length, 3, 'the kube-apiserver is asked about those that claim a role, once each')
  })
  await t.test(
    'go on while the kube-apiserver is away, for those who were in; others are told to come again',
    async (t) => {
      await lab.apiserver.stop()
      const look = (token: string) => service.call('GET', '/v1/nodes/hamburg-1/unique-ip', undefined, { token })
      t.equal((await look(cloudcore)).status, 200)
      const [head, claims] = cloudcore.split('.')
      const other = await look([head, claims, 'another'].join('.'))
      t.match(other, { status: 503, body: { code: 'cluster_unavailable' } })
      t.ok(other.headers.get('retry-after'))
      await lab.apiserver.start()
    },
  )
  await t.test('end with the ServiceAccount', async (t) => {
    await lab.kubectl(['delete', 'serviceaccount', '-n', 'kubeedge', 'cloudcore'])
    const ended = await until(async () => {
      const { status } = await service.call('GET', '/v1/nodes/hamburg-1/unique-ip', undefined, { token: cloudcore })
      return status === 401 && status
    })
    t.equal(ended, 401)
  })
  t.notOk(
    service.lines.some((line) => line.includes(cloudcore)),
    'no token is ever in the log',
  )
})

t.test('a kubeconfig may change: its token, its user, its authority', async (t) => {
  const lab = await startLab(t)
  const first = await reviewer(lab, 'first')
  const second = await reviewer(lab, 'second')
  const file = `${lab.folder}/rotating.kubeconfig`
  await copyFile(first, file)
  const service = await startInCluster(t, lab, { kubeconfig: file, env: { EDGE_IPAM_SERVICE_ACCOUNTS: roles } })
  await copyFile(second, `${file}.new`)
  await rename(`${file}.new`, file)
  await lab.kubectl(['delete', 'serviceaccount', '-n', 'edge-ipam', 'first'])
  const asks = await until(async () => {
    // Another token each time: an answer about one counts for a while.
    const token = await lab.tokenOf('monitoring', 'prometheus')
    const { status } = await service.call('GET', '/v1/pools', undefined, { token })
    const asked = (await lab.audited()).filter(({ resource, code }) => resource === 'tokenreviews' && code === 201)
    return status === 200 && asked.at(-1)?.user.endsWith(':second')
  })
  t.ok(asks, 'the ServiceAccount that the new kubeconfig names asks now')

  await t.test('the authority of the kube-apiserver, too, and its certificate', async (t) => {
    await lab.renewAuthority()
    const token = await lab.tokenOf('monitoring', 'prometheus')
    t.equal((await service.call('GET', '/v1/pools', undefined, { token })).status, 200)
  })
  await t.test('one that cannot be read is told of, and the last good one stays', async (t) => {
    await writeFile(file, 'clusters: [')
    await until(async () => {
      await service.call('GET', '/v1/pools', undefined, { token: await lab.tokenOf('monitoring', 'prometheus') })
      return service.lines.some((line) => line.includes('the kubeconfig cannot be read'))
    })
    const fresh = await lab.tokenOf('kubeedge', 'cloudcore')
    t.equal((await service.call('GET', '/v1/nodes/nobody/unique-ip', undefined, { token: fresh })).status, 404)
  })
})

t.test('a kubeconfig that is wrong is refused at the start, by name', async (t) => {
  const lab = await startLab(t)
  const file = `${lab.folder}/wrong.kubeconfig`
  await writeFile(file, '{}')
  await t.rejects(startInCluster(t, lab, { kubeconfig: file }), {
    message: /ended with 2:[\s\S]*EDGE_IPAM_KUBERNETES: .*wrong\.kubeconfig names no cluster/,
  })
  for (const [text, problem] of [
    ['', /wrong\.kubeconfig is no kubeconfig/],
    ['clusters: [', /wrong\.kubeconfig is no kubeconfig/],
    [
      (await readFile(lab.kubeconfig, 'utf8')).replace('"ca.crt"', '"missing.crt"'),
      /wrong\.kubeconfig names .*missing\.crt, which cannot be read \(ENOENT\)/,
    ],
  ] as const) {
    await writeFile(file, text)
    await t.rejects(startInCluster(t, lab, { kubeconfig: file }), { message: problem })
  }
})

/** The status that a GET has with the token, from an address of this machine. */
function statusOf(url: string, token: string, { localAddress, agent }: { localAddress?: string; agent?: Agent } = {}) {
  return new Promise<number>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const sent = request(
      url,
      { headers, ...(agent && { agent }), ...(localAddress && { localAddress }) },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode!))
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}

t.test(
  'a flood of forged tokens costs the kube-apiserver little, and keeps out nobody whose token is good',
  async (t) => {
    const lab = await startLab(t)
    const service = await startInCluster(t, lab, {
      kubeconfig: await reviewer(lab, 'edge-ipam'),
      env: { EDGE_IPAM_SERVICE_ACCOUNTS: roles },
    })
    const [known, fresh] = [await lab.tokenOf('kubeedge', 'cloudcore'), await lab.tokenOf('kubeedge', 'cloudcore')]
    const url = `${service.url}/v1/nodes/nobody/unique-ip`
    t.equal(await statusOf(url, known), 404)
    const reviews = async () => (await lab.audited()).filter(({ resource }) => resource === 'tokenreviews').length
    const [before, began] = [await reviews(), performance.now()]
    const [head, claims] = known.split('.')
    const agent = new Agent({ keepAlive: true, maxSockets: 250 })
    t.teardown(() => agent.destroy())
    const flood = Promise.all(
      Array.from({ length: 2_000 }, (_, i) => statusOf(url, `${head}.${claims}.${i}`, { agent })),
    )
    let [going, served] = [true, 0]
    const over = flood.finally(() => {
      going = false
    })
    t.equal(await statusOf(url, fresh, { localAddress: '127.0.0.2' }), 404, 'one that is new, from elsewhere')
    while (going) {
      const status = await statusOf(url, known)
      if (status !== 404) t.fail(`a token that is known was answered ${status}`)
      served++
    }
    const statuses = new Set(await over)
    const seconds = (performance.now() - began) / 1_000
    const asked = (await reviews()) - before
    t.ok(served > 1, `one that is known was served ${served} times meanwhile`)
    // Those of the known token among them: it is asked about every ten seconds.
    t.ok(asked <= 12 + 11 * seconds, `${asked} reviews in ${seconds} s`)
    t.ok(asked < 500, 'of 2,000')
    for (const status of statuses) t.ok([401, 429, 503].includes(status), `${status}`)
    const told = service.lines.filter(
      (line) => line.includes('more tokens that are not known come') && !line.includes('over'),
    )
    t.equal(told.length, 1, 'the log has one line of it')
    t.notOk(service.lines.some((line) => line.includes('Service Unavailable')))
  },
)
