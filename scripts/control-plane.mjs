// Builds what the tests of the cluster run on from Go modules, once for each version of it: etcd, kube-apiserver and kubectl
// (test/kubernetes/control-plane), and CoreDNS (test/kubernetes/dns).
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { root } from './prepare.mjs'
import { withPrepareLock } from './prepare-lock.mjs'

/** There is no Go, or what it built is not to be had; the message says what to do. */
export class NoControlPlane extends Error {}

/**
 * The folder with the programs of a Go module in test/kubernetes: outside the clone, so that every clone of a person shares
 * it. Builds what is missing.
 * @throws NoControlPlane
 */
export async function programsOf(module, say) {
  const { sources, folder, missing } = await placeOf(module)
  if (missing().length === 0) return folder
  await mkdir(folder, { recursive: true })
  await withPrepareLock(folder, say, async () => {
    const go = findGo()
    say(
      `Building ${missing().join(', ')} from Go modules, once: all together about six minutes and 2 GB of Go's own cache.`,
    )
    for (const name of missing()) await build(go, sources, name, folder, say)
  })
  return folder
}

/** The same folder, where all of them are built already; else undefined. */
export async function builtProgramsOf(module) {
  const { folder, missing } = await placeOf(module)
  return missing().length === 0 ? folder : undefined
}

async function placeOf(module) {
  const sources = join(root, 'test', 'kubernetes', module)
  const programs = (await readdir(sources, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const names = programs.map(({ name }) => name).sort()
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'edge-ipam')
  const folder = join(cache, `${module}-${await hashOf(sources, names)}`)
  return { sources, folder, missing: () => names.filter((name) => !existsSync(join(folder, name))) }
}

async function hashOf(sources, names) {
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum', ...names.map((name) => join(name, 'main.go'))]) {
    hash.update(await readFile(join(sources, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

function findGo() {
  for (const go of ['go', '/usr/local/go/bin/go']) {
    const { status, stdout } = spawnSync(go, ['env', 'GOVERSION'], { encoding: 'utf8' })
    const [, minor] = /^go1\.(\d+)/.exec(stdout ?? '') ?? []
    if (status === 0 && Number(minor) >= 24) return go
  }
  throw new NoControlPlane(
    'Go is missing: the Kubernetes that these tests run on is built from Go modules. Install Go 1.24 or newer (https://go.dev/dl/), then run this again.',
  )
}

/** The version that Kubernetes' programs tell; kubectl would not speak to a server of none. */
async function stamps(sources) {
  const [, version] = /k8s\.io\/kubernetes (v[\d.]+)/.exec(await readFile(join(sources, 'go.mod'), 'utf8')) ?? []
  if (version === undefined) return ''
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  return packages.map((name) => `-X ${name}.gitVersion=${version}`).join(' ')
}

async function build(go, sources, name, folder, say) {
  const workshop = await mkdtemp(join(folder, '.build-'))
  const started = Date.now()
  const word = setInterval(() => say(`${name}: ${Math.round((Date.now() - started) / 1000)} s …`), 10_000)
  try {
    const out = join(workshop, name)
    const child = spawn(go, ['build', '-trimpath', `-ldflags=-s -w ${await stamps(sources)}`, '-o', out, `./${name}`], {
      cwd: sources,
      env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let words = ''
    child.stderr.on('data', (chunk) => {
      words = (words + chunk).slice(-4_000)
    })
    const code = await new Promise((resolve) => {
      child.once('error', () => resolve(-1))
      child.once('close', resolve)
    })
    if (code !== 0) throw new NoControlPlane(`${name} could not be built:\n${words.trim()}`)
    await rename(out, join(folder, name))
  } finally {
    clearInterval(word)
    await rm(workshop, { recursive: true, force: true })
  }
}
