import { spawnSync } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { settings } from '../../src/config/settings.js'
import { blocksRunIn, readText } from '../repository/markdown.js'
import { startLab } from './lab.js'
import {
  apply,
  built,
  components,
  deploy,
  type Manifest,
  makeCertificate,
  only,
  overlays,
  settingsOf,
  shell,
} from './manifests.js'

// Nothing runs here: there is no kubelet. What is tested is that the kube-apiserver takes every part, and that the parts fit
// together. test/kubernetes/deployed.test.ts has the service do what its ServiceAccount may.

/** cert-manager's own kinds are not there. */
const known = (manifests: readonly Manifest[]) =>
  manifests.filter(({ apiVersion }) => apiVersion !== 'cert-manager.io/v1')

t.test('shellcheck finds nothing in the script for the certificate', async (t) => {
  const { stdout, error } = spawnSync('shellcheck', ['-s', 'sh', join(deploy, 'webhook-certificate.sh')], {
    encoding: 'utf8',
  })
  t.notOk(error)
  t.equal(stdout, '')
})

t.test('the script for the certificate says how it is used, and what it cannot do', async (t) => {
  const folder = t.testdir({
    kubectl: '#!/bin/sh\necho mutatingwebhookconfiguration/edge-ipam\n',
    openssl: '#!/bin/sh\necho no curve of that name >&2\nexit 1\n',
  })
  for (const name of ['kubectl', 'openssl']) await chmod(join(folder, name), 0o755)
  const run = (...args: string[]) =>
    spawnSync('sh', [join(deploy, 'webhook-certificate.sh'), ...args], {
      encoding: 'utf8',
      env: { PATH: `${folder}:${process.env.PATH}` },
    })
  for (const word of ['-h', '--help']) t.match(run(word), { status: 0, stdout: /^Usage: .*\[days\]/, stderr: '' })
  for (const days of ['abc', '0', '-1', '1.5', '', '100000', '1 2']) {
    t.match(run(days), { status: 2, stdout: '', stderr: /days has to be a whole number from 1 to / }, `'${days}'`)
  }
  t.match(run('1', '2'), { status: 2, stdout: '', stderr: /the number of days and nothing else/ })
  t.match(run('1'), { status: 1, stdout: '', stderr: /no curve of that name\n.*could not make the certificate/ })
})

t.test('what deploy/ holds', async (t) => {
  const lab = await startLab(t)
  const inside = await built(lab, 'inside')

  await t.test('has to be there before the certificate is', async (t) => {
    await t.rejects(makeCertificate(lab), {
      code: 1,
      stderr: /no MutatingWebhookConfiguration .* kubectl apply -k … first/,
    })
  })

  await t.test('cannot be rehearsed on the server before it was applied once', async (t) => {
    await t.rejects(apply(lab, inside, '--dry-run=server'), /namespaces "edge-ipam" not found/)
  })

  await t.test('is taken by the kube-apiserver, without a warning, and again', async (t) => {
    t.equal(await apply(lab, inside), '')
    t.equal(await apply(lab, inside), '')
  })

  for (const overlay of overlays) {
    for (const parts of [[], components]) {
      await t.test(`so is the overlay ${overlay} ${parts.length > 0 ? `with ${parts.join(', ')}` : ''}`, async (t) => {
        const manifests = known(await built(lab, overlay, parts))
        t.equal(await apply(lab, manifests, '--dry-run=server'), '')

        t.ok(manifests.length > 15, `${manifests.length} objects`)
      })
    }
  }

  await t.test('is not taken with a word misspelled', async (t) => {
    const wrong = structuredClone(only(inside, 'Deployment'))
    wrong.spec.template.spec.containers[0].readinesProbe = {}
    await t.rejects(apply(lab, [wrong], '--dry-run=server'), /unknown field "readinesProbe"/)
  })

  await t.test("has Pods that may run under Kubernetes' strictest standard, and no less strict ones", async (t) => {
    const manifests = await built(lab, 'load-balancer', ['names'])
    const create = (template: Manifest) =>
      lab.ask('POST', '/api/v1/namespaces/edge-ipam/pods?dryRun=All', {
        metadata: { generateName: 'tried-', labels: template.metadata.labels },
        spec: template.spec,
      })
    for (const name of ['edge-ipam', 'edge-ipam-names']) {
      const { template } = only(manifests, 'Deployment', name).spec
      t.match(await create(template), { status: 201 }, name)
      const [{ securityContext }] = template.spec.containers
      t.match(securityContext, { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false })
      const less = structuredClone(template)
      less.spec.containers[0].securityContext.allowPrivilegeEscalation = true
      t.match(await create(less), { status: 403, body: { message: /violates PodSecurity "restricted/ } })
    }
  })

  await t.test('gives the service settings that there are, and no other variable gets in', async (t) => {
    const variables = (Object.values(settings) as { variable: string; secret?: true }[]).flatMap(
      ({ variable, secret }) => (secret ? [variable, `${variable}_FILE`] : [variable]),
    )
    for (const overlay of overlays) {
      const manifests = await built(lab, overlay, ['names'])
      const { spec } = only(manifests, 'Deployment').spec.template
      const given = [...Object.keys(settingsOf(manifests)), ...spec.containers[0].env.map(({ name }: Manifest) => name)]
      t.strictSame(
        given.filter((name) => !variables.includes(name)),
        [],
      )
      t.equal(new Set(given).size, given.length, 'none twice')
      // A Service edge-ipam-northbound would set EDGE_IPAM_NORTHBOUND_PORT.
      t.equal(spec.enableServiceLinks, false)
    }
  })

  await t.test(
    'leads every Service to the listener of its name, and every policy to a port that there is',
    async (t) => {
      const manifests = await built(lab, 'inside')
      const values = settingsOf(manifests)
      const ports = only(manifests, 'Deployment').spec.template.spec.containers[0].ports
      t.strictSame(
        Object.fromEntries(ports.map(({ name, containerPort }: Manifest) => [name, String(containerPort)])),
        {
          api: values.PORT,
          northbound: values.EDGE_IPAM_NORTHBOUND_PORT,
          devices: values.EDGE_IPAM_JOIN_PORT,
          webhook: values.EDGE_IPAM_WEBHOOK_PORT,
        },
      )
      const named = ports.map(({ name }: Manifest) => name).sort()
      const targets = manifests.filter(({ kind }) => kind === 'Service').flatMap(({ spec }) => spec.ports)
      t.strictSame(targets.map(({ targetPort }: Manifest) => targetPort).sort(), named)
      const policies = manifests
        .filter(({ kind }) => kind === 'NetworkPolicy')
        .flatMap(({ spec }) => spec.ingress ?? [])
      t.strictSame(policies.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port)).sort(), named)
      const { labels } = only(manifests, 'Deployment').spec.template.metadata
      const selectors = manifests.flatMap(({ kind, spec }) =>
        kind === 'Service' ? [spec.selector] : kind === 'NetworkPolicy' ? [spec.podSelector.matchLabels] : [],
      )
      for (const selector of selectors) t.match(labels, selector)
    },
  )

  await t.test('keeps two replicas apart, and off the edge', async (t) => {
    const { spec } = only(inside, 'Deployment')
    t.equal(spec.replicas, 2)
    t.equal(spec.template.spec.topologySpreadConstraints[0].topologyKey, 'kubernetes.io/hostname')
    t.match(
      JSON.stringify(spec.template.spec.affinity),
      '"key":"node-role.kubernetes.io/edge","operator":"DoesNotExist"',
    )
    t.match(only(inside, 'PodDisruptionBudget').spec, { maxUnavailable: 1 })
  })

  await t.test('has a hook that stands in nobody’s way', async (t) => {
    const { webhooks } = only(inside, 'MutatingWebhookConfiguration')
    for (const hook of webhooks) {
      t.match(hook, { failurePolicy: 'Ignore', timeoutSeconds: 2, sideEffects: 'NoneOnDryRun' })
    }
    const seen = webhooks.flatMap(({ rules }: Manifest) =>
      rules.flatMap(({ operations, resources }: Manifest) =>
        operations.flatMap((operation: string) => resources.map((resource: string) => `${operation} ${resource}`)),
      ),
    )
    t.strictSame(seen.sort(), ['CREATE nodes', 'UPDATE nodes', 'UPDATE nodes/status'])
  })

  await t.test('says which version it is', async (t) => {
    const { version } = JSON.parse(readText('package.json'))
    const [{ image }] = only(inside, 'Deployment').spec.template.spec.containers
    t.equal(image, `registry.example.com/edge-ipam:${version}`)
  })

  await t.test('by a load balancer speaks TLS to devices itself, and to its own probes', async (t) => {
    const manifests = await built(lab, 'load-balancer')
    t.match(only(manifests, 'Service', 'edge-ipam-devices').spec, { type: 'LoadBalancer', ports: [{ port: 443 }] })
    t.ok(settingsOf(manifests).EDGE_IPAM_TLS_CERT_FILE)
    const [container] = only(manifests, 'Deployment').spec.template.spec.containers
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      t.equal(container[probe].httpGet.scheme, 'HTTPS', probe)
    }
    for (const { kind, metadata, spec } of manifests) {
      if (kind === 'Service' && metadata.name !== 'edge-ipam-devices')
        t.notOk(spec.type, `${metadata.name} stays inside`)
    }
  })

  await t.test('comes by an Ingress for the names that docs/deploy.md puts in', async (t) => {
    const blocks = blocksRunIn('test/kubernetes/deploy.test.ts', readText('docs/deploy.md'))
    const own = blocks.find((block) => block.includes('overlays/ingress'))
    const folder = join(lab.folder, 'ingress')
    await mkdir(join(folder, 'my-cluster'), { recursive: true })
    await symlink(deploy, join(folder, 'deploy'))
    await writeFile(join(folder, 'my-cluster', 'kustomization.yaml'), own!)
    const { stdout } = await lab.kubectl(['kustomize', join(folder, 'my-cluster')])
    t.notMatch(stdout, /example\.com/)
    const manifests = parseAllDocuments(stdout).map((document) => document.toJS())
    t.equal(await apply(lab, manifests, '--dry-run=server'), '')
    const { ingressClassName, tls, rules } = only(manifests, 'Ingress').spec
    t.ok(ingressClassName)
    t.same(tls, [{ hosts: rules.map(({ host }: Manifest) => host), secretName: 'edge-ipam-tls' }])
    t.same(
      rules.map(({ http }: Manifest) => http.paths[0].backend.service.name),
      ['edge-ipam-devices', 'edge-ipam-northbound'],
    )
    t.ok(settingsOf(manifests).EDGE_IPAM_TRUSTED_PROXIES)
  })

  await t.test('goes to a cluster as docs/deploy.md says', async (t) => {
    const blocks = blocksRunIn('test/kubernetes/deploy.test.ts', readText('docs/deploy.md'))
    const [kustomization = '', ...rest] = blocks
    const commands = rest.filter((block) => !block.startsWith('# my-cluster/'))
    const folder = join(lab.folder, 'clone')
    await mkdir(join(folder, 'my-cluster'), { recursive: true })
    await symlink(deploy, join(folder, 'deploy'))
    await writeFile(join(folder, 'my-cluster', 'kustomization.yaml'), kustomization)
    const said: string[] = []
    for (const script of commands) said.push(await shell(lab, script, folder))
    t.match(said.at(-1), /^10\.96\.\d+\.\d+$/, 'the address of the names')
    const get = async (path: string) => (await lab.ask('GET', path)).body
    const { template } = (await get('/apis/apps/v1/namespaces/edge-ipam/deployments/edge-ipam')).spec
    const [{ image, env, envFrom }] = template.spec.containers
    t.match(image, /^registry\.example\.com\/edge-ipam:/)
    const given = await get(`/api/v1/namespaces/edge-ipam/configmaps/${envFrom[0].configMapRef.name}`)
    t.match(given.data, { EDGE_IPAM_POOL: '10.213.0.0/16', EDGE_IPAM_WEBHOOK_PORT: '8443' })
    for (const [volume, secret] of [
      ['secrets', 'edge-ipam'],
      ['webhook', 'edge-ipam-webhook-tls'],
    ]) {
      const { data } = await get(`/api/v1/namespaces/edge-ipam/secrets/${secret}`)
      const files = env.flatMap(({ value }: Manifest) => value.split(`/etc/edge-ipam/${volume}/`)[1] ?? [])
      t.equal(files.length, 2)
      t.strictSame(files.sort(), Object.keys(data).sort(), `the Secret ${secret} has the files that are read`)
    }
  })
})
