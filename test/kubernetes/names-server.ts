import { spawn } from 'node:child_process'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePort } from '../support/free-port.js'
import type { Lab } from './lab.js'
import { deploy } from './manifests.js'

const programs = process.env.EDGE_IPAM_TEST_DNS ?? ''

/**
 * A real CoreDNS with the Corefile of deploy/components/names, which reads the ConfigMap edge-ipam/edge-ipam-hosts as it
 * would in a Pod: there is no kubelet, so its files are written here.
 * @returns what asks it, and only it
 */
export async function startNamesServer(t: Pick<Test, 'teardown'>, lab: Lab): Promise<Resolver> {
  if (programs === '') throw new Error('These tests need a CoreDNS: run them with `npm run test:k8s`.')
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-names-'))
  const mounted = join(folder, 'hosts')
  await mkdir(mounted)
  let over = false
  const kubelet = (async () => {
    let version = ''
    while (!over) {
      const { body } = await lab.ask('GET', '/api/v1/namespaces/edge-ipam/configmaps/edge-ipam-hosts')
      if (body.data && body.metadata.resourceVersion !== version) {
        version = body.metadata.resourceVersion
        for (const [name, text] of Object.entries<string>(body.data)) {
          await writeFile(join(mounted, `.${name}`), text)
          await rename(join(mounted, `.${name}`), join(mounted, name))
        }
      }
      await pause(100)
    }
  })()
  const [port, health, ready] = (await Promise.all([freePort(), freePort(), freePort()])) as [number, number, number]
  const source = join(deploy, 'components', 'names')
  const corefile = (await readFile(join(source, 'Corefile'), 'utf8'))
    .replace(':1053', `:${port}`)
    .replace(':8080', `127.0.0.1:${health}`)
    .replace(':8181', `127.0.0.1:${ready}`)
    .replaceAll('/etc/edge-ipam/hosts', mounted)
    .replaceAll('/etc/coredns', source)
  await writeFile(join(folder, 'Corefile'), corefile)
  const child = spawn(join(programs, 'coredns'), ['-conf', join(folder, 'Corefile')], { stdio: 'pipe' })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk
    })
  }
  t.teardown(async () => {
    over = true
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await kubelet.catch(() => {})
    await rm(folder, { recursive: true, force: true })
  })
  while (!(await fetch(`http://127.0.0.1:${ready}/ready`).catch(() => undefined))?.ok) {
    if (child.exitCode !== null) throw new Error(`CoreDNS did not come up:\n${said}`)
    await pause(50)
  }
  const resolver = new Resolver({ timeout: 2_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  return resolver
}
