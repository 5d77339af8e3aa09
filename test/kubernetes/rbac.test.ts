import t from 'tap'
import { jobReport, makeJob, removeJob } from '../../src/cluster/config-update-jobs.js'
import { Connection, wordsOf } from '../../src/cluster/connection.js'
import { tellOfNode } from '../../src/cluster/events.js'
import { discoverNetworks } from '../../src/cluster/networks.js'
import { hasNode } from '../../src/cluster/nodes.js'
import { ClusterView } from '../../src/cluster/view.js'
import { type Lab, startLab } from './lab.js'
import { apply, built, type Manifest } from './manifests.js'
import { startInCluster, until } from './service.js'

// Of the verbs that deploy/ gives the service none is given for nothing: without it something does not work, and says so.

const KUBEADM = { ClusterConfiguration: 'networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}' }
const HOSTS = '/api/v1/namespaces/edge-ipam/configmaps'

/** What the service does with a verb: true when it works, else what it says. */
type Aspect = (lab: Lab, kubeconfig: string) => Promise<true | string>

const connect = (kubeconfig: string) => Connection.open({ kubeconfig }, () => {})

/** Watching the cluster: it works when all of it is known. */
const watching: Aspect = async (_lab, kubeconfig) => {
  const connection = await connect(kubeconfig)
  let view: ClusterView | undefined
  let trouble: string | undefined
  try {
    view = new ClusterView(connection, 'node-role.kubernetes.io/edge', {
      onChange: () => {},
      onEnd: () => {},
      onTrouble: (what, error) => {
        trouble ??= `${what}: ${error.message}`
      },
    })
    return await until(async () => trouble ?? (view?.picture !== undefined && view.isLive && true))
  } finally {
    view?.stop()
  }
}

const networks: Aspect = async (_lab, kubeconfig) => {
  let trouble: string | undefined
  const found = await discoverNetworks(await connect(kubeconfig), (error) => {
    trouble = wordsOf(error)
  })
  return trouble ?? (found.length > 0 || 'nothing was found')
}

/** Keeping nodes' names in a ConfigMap: it works when they are in it. */
const names =
  (before: Manifest): Aspect =>
  async (lab, kubeconfig) => {
    await lab.ask('DELETE', `${HOSTS}/edge-ipam-hosts`)
    if (before) await lab.ask('POST', HOSTS, { metadata: { name: 'edge-ipam-hosts' }, data: before })
    const ends: (() => unknown)[] = []
    const service = await startInCluster({ teardown: (end: () => unknown) => void ends.push(end) }, lab, {
      kubeconfig,
      env: { EDGE_IPAM_HOSTS_CONFIGMAP: 'edge-ipam/edge-ipam-hosts' },
    })
    try {
      await service.call('POST', '/v1/allocations', { nodeName: 'edge-1' })
      return await until(async () => {
        const said = service.lines.find((line) =>
          line.includes("keeping nodes' names in a ConfigMap could not be done"),
        )
        if (said) return String(JSON.parse(said).cause)
        const { body } = await lab.ask('GET', `${HOSTS}/edge-ipam-hosts`)
        return body.data?.['edge-ipam.hosts']?.includes('edge-1') === true
      })
    } finally {
      await service.stop()
      for (const end of ends.reverse()) await end()
    }
  }

/** KubeEdge's jobs: it works when the kube-apiserver does what is asked. */
const jobs =
  (work: (connection: Connection) => Promise<unknown>): Aspect =>
  async (_lab, kubeconfig) =>
    work(await connect(kubeconfig)).then(() => true as const, wordsOf)

const job = { name: 'readdress-edge-1', nodeName: 'edge-1', uniqueIp: '10.213.0.1', timeoutSeconds: 60 }

const aspects: Record<string, Aspect> = {
  'create tokenreviews': async (lab, kubeconfig) => {
    const ends: (() => unknown)[] = []
    const service = await startInCluster({ teardown: (end: () => unknown) => void ends.push(end) }, lab, {
      kubeconfig,
      env: { EDGE_IPAM_SERVICE_ACCOUNTS: 'monitoring/prometheus=auditor' },
    })
    try {
      const token = await lab.tokenOf('monitoring', 'prometheus')
      const { status } = await service.call('GET', '/v1/pools', undefined, { token })
      if (status === 200) return true
      return await until(async () => service.lines.find((line) => line.includes('whose a token is')))
    } finally {
      await service.stop()
      for (const end of ends.reverse()) await end()
    }
  },
  'get nodes': async (_lab, kubeconfig) => {
    const there = await hasNode(await connect(kubeconfig), 'cloud-1')
    return there === undefined ? 'forbidden, so not known' : there || 'not there'
  },
  'list nodes': watching,
  'watch nodes': watching,
  'list services': watching,
  'watch services': watching,
  'list endpointslices': watching,
  'watch endpointslices': watching,
  'list servicecidrs': networks,
  'get configmaps kube-system/kubeadm-config': networks,
  'create events default': async (_lab, kubeconfig) => {
    const event = { nodeName: 'cloud-1', uid: 'one', type: 'Normal' as const, reason: 'Tried', message: 'tried' }
    return tellOfNode(await connect(kubeconfig), event, new Date()).then(() => true as const, wordsOf)
  },
  'create configupdatejobs': jobs((connection) => makeJob(connection, job)),
  'get configupdatejobs': jobs((connection) => jobReport(connection, job.name)),
  'delete configupdatejobs': jobs((connection) => removeJob(connection, job.name)),
  'create configmaps edge-ipam': names(undefined),
  'get configmaps edge-ipam/edge-ipam-hosts': names({ other: 'kept' }),
  'update configmaps edge-ipam/edge-ipam-hosts': names({ other: 'kept' }),
}

interface Verb {
  role: Manifest
  rule: number
  verb: string
}

/** Every verb of every role that the service's account is bound to, by `verb resource [namespace[/name]]`. */
function verbsOf(manifests: readonly Manifest[]): Map<string, Verb> {
  const bound = manifests.filter(
    ({ kind, subjects }) =>
      /^(Cluster)?RoleBinding$/.test(kind) && subjects.some(({ name }: Manifest) => name === 'edge-ipam'),
  )
  const verbs = new Map<string, Verb>()
  for (const { roleRef, metadata } of bound) {
    const role = manifests.find(
      (one) =>
        one.kind === roleRef.kind &&
        one.metadata.name === roleRef.name &&
        one.metadata.namespace === metadata.namespace,
    )
    for (const [rule, { resources, resourceNames = [''], verbs: given }] of role.rules.entries()) {
      for (const resource of resources) {
        for (const name of resourceNames) {
          for (const verb of given) {
            const where = [role.metadata.namespace, name].filter(Boolean).join('/')
            verbs.set(`${verb} ${resource} ${where}`.trim(), { role, rule, verb })
          }
        }
      }
    }
  }
  return verbs
}

t.test('what the service may do', async (t) => {
  const lab = await startLab(t)
  const manifests = await built(lab, 'inside', ['names'])
  await apply(lab, manifests)
  await lab.kubectl(['apply', '-f', new URL('config-update-job.yaml', import.meta.url).pathname])
  await lab.kubectl(['wait', '--for=condition=Established', 'crd/configupdatejobs.operations.kubeedge.io'])
  await lab.ask('POST', '/api/v1/nodes', { metadata: { name: 'cloud-1' } })
  await lab.ask('POST', '/api/v1/namespaces/kube-system/configmaps', {
    metadata: { name: 'kubeadm-config' },
    data: KUBEADM,
  })
  const token = await lab.tokenOf('edge-ipam', 'edge-ipam')
  const kubeconfig = await lab.kubeconfigFor('edge-ipam', token)
  const verbs = verbsOf(manifests)

  t.strictSame(
    [...verbs.keys()].sort(),
    Object.keys(aspects).sort(),
    'each verb is tried here, and there are no others',
  )
  t.notMatch(JSON.stringify(manifests.filter(({ kind }) => /Role$/.test(kind))), '"*"', 'and none is for everything')

  const may = async (name: string, { role, rule, verb }: Verb): Promise<boolean> => {
    const { apiGroups, resources, resourceNames } = role.rules[rule]
    const { body } = await lab.ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: 'system:serviceaccount:edge-ipam:edge-ipam',
        resourceAttributes: {
          verb,
          group: apiGroups[0],
          resource: resources.find((resource: string) => name.includes(resource)),
          namespace: role.metadata.namespace,
          name: resourceNames?.[0],
        },
      },
    })
    return body.status.allowed
  }
  const setRules = async (role: Manifest, rules: unknown) => {
    const { kind, metadata } = role
    const at = kind === 'Role' ? `namespaces/${metadata.namespace}/roles` : 'clusterroles'
    const path = `/apis/rbac.authorization.k8s.io/v1/${at}/${metadata.name}`
    const patch = [{ op: 'replace', path: '/rules', value: rules }]
    const { status } = await lab.ask('PATCH', path, patch, { contentType: 'application/json-patch+json' })
    t.equal(status, 200)
  }

  for (const [name, verb] of verbs) {
    const aspect = aspects[name]
    if (!aspect) continue
    await t.test(name, async (t) => {
      const { rules } = verb.role
      const less = rules
        .map((rule: Manifest, index: number) =>
          index === verb.rule ? { ...rule, verbs: rule.verbs.filter((one: string) => one !== verb.verb) } : rule,
        )
        .filter((rule: Manifest) => rule.verbs.length > 0)
      await setRules(verb.role, less)
      await until(async () => !(await may(name, verb)))
      t.match(await aspect(lab, kubeconfig), /403|forbidden/i, 'without it that does not work, and it says so')
      await setRules(verb.role, rules)
      await until(() => may(name, verb))
      t.equal(await aspect(lab, kubeconfig), true, 'with it, it works')
    })
  }
})
