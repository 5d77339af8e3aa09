import pg from 'pg'
import t from 'tap'
import type { Service } from '../support/service.js'
import { joinNode, removeNode, reportNode } from './cluster.js'
import { startLab } from './lab.js'
import { startInCluster, until } from './service.js'

/** The open findings, as `kind subject`. */
async function open(service: Service): Promise<string[]> {
  const { body } = await service.call('GET', '/v1/findings')
  return body.items
    .map(({ kind, subject }: { kind: string; subject: { name: string } }) => `${kind} ${subject.name}`)
    .sort()
}

/** Waits until exactly these are open. */
function opened(service: Service, ...expected: string[]): Promise<string[]> {
  const wanted = expected.sort().join()
  return until(async () => {
    const found = await open(service)
    return found.join() === wanted && found
  })
}

const has = (service: Service, finding: string) => until(async () => (await open(service)).includes(finding))
const hasNot = (service: Service, finding: string) => until(async () => !(await open(service)).includes(finding))

t.test('each kind of finding is raised, and over when its cause is gone', async (t) => {
  const lab = await startLab(t, {
    flags: ['--feature-gates=MultiCIDRServiceAllocator=true', '--runtime-config=networking.k8s.io/v1beta1=true'],
  })
  await lab.ask('POST', '/api/v1/namespaces/kube-system/configmaps', {
    metadata: { name: 'kubeadm-config' },
    data: {
      ClusterConfiguration: 'networking:\n  podSubnet: 10.244.0.0/16,fd00:10:244::/56\n  serviceSubnet: 10.96.0.0/16\n',
    },
  })
  await joinNode(lab, 'cloud', '172.31.0.4', { edge: false, podCidr: '10.244.0.0/24' })
  const service = await startInCluster(t, lab, {
    env: { EDGE_IPAM_NEVER_JOINED_SECONDS: '2', EDGE_IPAM_LOOK_SECONDS: '1' },
  })
  const allocate = async (nodeName: string): Promise<string> =>
    (await service.call('POST', '/v1/allocations', { nodeName })).body.uniqueIp

  await t.test('unknown_node, address_mismatch', async () => {
    await joinNode(lab, 'a', '192.168.1.10')
    await opened(service, 'unknown_node a')
    const unique = await allocate('a')
    await opened(service, 'address_mismatch a')
    await until(async () => (await service.call('GET', '/v1/nodes/a')).body.displayIp !== null)
    await reportNode(lab, 'a', unique)
    await opened(service)
  })
  await t.test('what no hook has heard is noted all the same: the display IP, and that it has joined', async (t) => {
    const node = await until(async () => {
      const { body } = await service.call('GET', '/v1/nodes/a')
      return body.state === 'registered' && body
    })
    t.equal(node.displayIp, '192.168.1.10', 'what it reported before it was readdressed')
    t.equal(node.nodeUid, (await lab.ask('GET', '/api/v1/nodes/a')).body.metadata.uid)
    const audit = await service.call('GET', '/v1/audit?nodeName=a&action=allocation.registered')
    t.match(audit.body.items, [{ actor: 'cloudcore:reconciler' }])
  })
  await t.test('they are Events on the Node, too', async (t) => {
    const events = await until(async () => {
      const { body } = await lab.ask('GET', '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=a')
      const reasons = body.items.map(({ reason }: { reason: string }) => reason)
      return reasons.includes('AddressMismatchResolved') && reasons
    })
    t.strictSame(events.sort(), ['AddressMismatch', 'AddressMismatchResolved', 'UnknownNode', 'UnknownNodeResolved'])
  })
  await t.test('duplicate_internal_ip', async () => {
    for (const name of ['b', 'c']) await joinNode(lab, name, '192.168.1.10')
    for (const name of ['b', 'c']) await allocate(name)
    await opened(
      service,
      'address_mismatch b',
      'address_mismatch c',
      'duplicate_internal_ip b',
      'duplicate_internal_ip c',
    )
    await reportNode(lab, 'c', await allocate('c'))
    await opened(service, 'address_mismatch b')
    await reportNode(lab, 'b', await allocate('b'))
    await opened(service)
  })
  await t.test('suspicious_address', async () => {
    await reportNode(lab, 'b', '172.19.0.1')
    await opened(service, 'address_mismatch b', 'suspicious_address b')
    await reportNode(lab, 'b', await allocate('b'))
    await opened(service)
  })
  await t.test('name_claimed_twice', async (t) => {
    const unique = await allocate('b')
    await reportNode(lab, 'b', unique, 'other')
    await seenOn(service, 'b', 'other')
    t.notOk((await open(service)).includes('name_claimed_twice b'), 'a device may be replaced by another')
    await reportNode(lab, 'b', unique, 'b')
    await has(service, 'name_claimed_twice b')
  })
  await t.test('never_joined', async () => {
    await allocate('late')
    await has(service, 'never_joined late')
    await joinNode(lab, 'late', await allocate('late'))
    await hasNot(service, 'never_joined late')
  })
  await t.test('network_overlap', async () => {
    for (const [name, cidr] of [
      ['like-all-pods', '10.244.128.0/24'],
      ['like-pods-of-a-node', '10.244.0.0/28'],
      ['like-services', '10.96.0.0/20'],
      ['like-nodes', '172.31.0.0/24'],
    ]) {
      await service.call('POST', '/v1/pools', { name, cidr, priority: 900 })
      await has(service, `network_overlap ${name}`)
      await service.call('DELETE', `/v1/pools/${name}`)
      await hasNot(service, `network_overlap ${name}`)
    }
  })
  await t.test('stale_reference', async () => {
    const unique = await allocate('late')
    await lab.ask('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 'camera' },
      spec: { ports: [{ port: 80 }], externalIPs: [unique] },
    })
    await lab.ask('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: { name: 'sensor' },
      addressType: 'IPv4',
      endpoints: [{ addresses: [unique] }],
      ports: [],
    })
    // What the mirroring of a Service's Endpoints makes, which people wrote.
    await lab.ask('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: {
        name: 'mirrored',
        labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: [unique] }],
      ports: [],
    })
    await removeNode(lab, 'late')
    await service.call('DELETE', '/v1/nodes/late?force=true')
    await has(service, 'stale_reference camera')
    await has(service, 'stale_reference sensor')
    await has(service, 'stale_reference mirrored')
    await lab.kubectl(['delete', 'service/camera', 'endpointslice/sensor', 'endpointslice/mirrored'])
    for (const name of ['camera', 'sensor', 'mirrored']) await hasNot(service, `stale_reference ${name}`)
  })
  await t.test('what a device writes of itself cannot stop it', async () => {
    await reportNode(lab, 'c', '192.168.1.10\u0000', 'a machine\u0000')
    await has(service, 'address_mismatch c')
    await reportNode(lab, 'c', await allocate('c'), 'a machine\u0000')
    await hasNot(service, 'address_mismatch c')
  })
  await t.test('discovered networks are shown as such', async (t) => {
    await lab.ask('POST', '/api/v1/nodes', {
      metadata: { name: 'second' },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
    })
    const discovered = async () => (await service.call('GET', '/v1/networks/discovered')).body.items
    await until(async () => (await discovered()).some(({ cidr }: { cidr: string }) => cidr === '10.244.0.0/23'))
    const items = await discovered()
    t.strictSame(items, [
      { kind: 'service', cidr: '10.96.0.0/16', source: 'ServiceCIDR' },
      { kind: 'service', cidr: '10.96.0.0/16', source: 'kubeadm' },
      { kind: 'pod', cidr: '10.244.0.0/16', source: 'kubeadm' },
      { kind: 'pod', cidr: '10.244.0.0/23', source: 'Node' },
      { kind: 'pod', cidr: 'fd00:10:244::/56', source: 'kubeadm' },
    ])
  })
  await t.test('a file of kubeadm that is no YAML is told of, and the others count on', async () => {
    await lab.ask('PATCH', '/api/v1/namespaces/kube-system/configmaps/kubeadm-config', {
      data: { ClusterConfiguration: 'networking: {' },
    })
    const other = await startInCluster(t, lab, { env: { EDGE_IPAM_LOOK_SECONDS: '1' } })
    await until(async () => other.lines.some((line) => line.includes('kube-system/kubeadm-config')))
    await has(other, 'unknown_node a')
  })
  await t.test('each kind has a number in the metrics', async (t) => {
    const { text } = await service.call('GET', '/metrics')
    t.match(text, /edge_ipam_findings\{kind="name_claimed_twice"\} 1/)
    t.match(text, /edge_ipam_findings\{kind="never_joined"\} 0/)
  })
})

/** Waits until the last machine that a node was seen on is this one. */
async function seenOn(service: Service, name: string, machine: string): Promise<void> {
  const db = new pg.Client({ connectionString: service.databaseUrl })
  await db.connect()
  try {
    await until(async () => {
      const { rows } = await db.query(`select machines -> -1 ->> 'machineId' as last from sightings where name = $1`, [
        name,
      ])
      return rows[0]?.last === machine
    })
  } finally {
    await db.end()
  }
}
