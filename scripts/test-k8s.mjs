// `npm run test:k8s`: the tests in test/kubernetes, on a real kube-apiserver, etcd, kubectl and CoreDNS.
// `npm run test:k8s -- <files or tap options>` runs only those.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { NoControlPlane, programsOf } from './control-plane.mjs'
import { prepare, root } from './prepare.mjs'
import { runNode } from './run-child.mjs'

const args = process.argv.slice(2)
await prepare()
try {
  const say = (line) => process.stderr.write(`${line}\n`)
  const programs = {
    EDGE_IPAM_TEST_CONTROL_PLANE: await programsOf('control-plane', say),
    EDGE_IPAM_TEST_DNS: await programsOf('dns', say),
  }
  const chosen = args.some((arg) => arg.endsWith('.test.ts')) ? args : [...(await all()), ...args]
  process.exitCode = await runNode(['scripts/test.mjs', '--jobs=4', ...chosen], programs)
} catch (error) {
  if (!(error instanceof NoControlPlane)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}

async function all() {
  const folder = join('test', 'kubernetes')
  const names = await readdir(join(root, folder), { recursive: true })
  return names
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
    .sort()
}
