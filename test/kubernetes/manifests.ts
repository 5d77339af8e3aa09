import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import type { Lab } from './lab.js'

export const deploy = fileURLToPath(new URL('../../deploy/', import.meta.url))

// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
export type Manifest = any

export const overlays = ['inside', 'load-balancer', 'ingress'] as const
export const components = ['cert-manager', 'names'] as const

/** What `kubectl kustomize` makes of an overlay and components, put together in a folder of one's own as the docs say. */
export async function built(
  lab: Lab,
  overlay: (typeof overlays)[number],
  with_: readonly (typeof components)[number][] = [],
): Promise<Manifest[]> {
  const folder = join(lab.folder, ['own', overlay, ...with_].join('-'))
  await mkdir(folder, { recursive: true })
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [relative(folder, join(deploy, 'overlays', overlay))],
    components: with_.map((name) => relative(folder, join(deploy, 'components', name))),
    images: [{ name: 'edge-ipam', newName: 'registry.example.com/edge-ipam' }],
  }
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization))
  const { stdout } = await lab.kubectl(['kustomize', folder])
  return parseAllDocuments(stdout).map((document) => document.toJS())
}

/** Applies them as people do, but that nothing may be unknown; comes back with what kubectl warned of. */
export async function apply(lab: Lab, manifests: readonly Manifest[], ...options: string[]): Promise<string> {
  const list = { apiVersion: 'v1', kind: 'List', items: manifests }
  const { stderr } = await lab.kubectl(['apply', '--validate=strict', ...options, '-f', '-'], JSON.stringify(list))
  return stderr
}

export function only(manifests: readonly Manifest[], kind: string, name = 'edge-ipam'): Manifest {
  const found = manifests.filter((one) => one.kind === kind && one.metadata.name === name)
  if (found.length !== 1) throw new Error(`${found.length} of ${kind} ${name}`)
  return found[0]
}

/** The settings that the Pods are given. */
export function settingsOf(manifests: readonly Manifest[]): Record<string, string> {
  return manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('edge-ipam-settings-'))
    .data
}

export const makeCertificate = (lab: Lab) => shell(lab, `sh '${join(deploy, 'webhook-certificate.sh')}'`)

/** Runs commands as the lab's administrator, and comes back with what they wrote. */
export async function shell(lab: Lab, script: string, cwd = lab.folder): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-euc', script], {
    cwd,
    env: {
      HOME: lab.folder,
      KUBECONFIG: lab.kubeconfig,
      PATH: `${process.env.EDGE_IPAM_TEST_CONTROL_PLANE}:${process.env.PATH}`,
    },
  })
  return stdout
}
