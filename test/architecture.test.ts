import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const src = fileURLToPath(new URL('../src/', import.meta.url))

/** The files of src, as paths from there. */
const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'))

/**
 * A room, and the rooms that it may know. Every arrow points down this list; schemas is a leaf that all may use, and
 * embedded a house of its own that only the process knows.
 */
const arrows: Record<string, readonly string[]> = {
  main: ['process', 'config', 'cli', 'embedded', 'store'],
  process: ['app', 'config', 'http', 'integrations', 'domain', 'store', 'lock', 'cluster', 'embedded', 'core'],
  cli: ['app', 'config', 'http', 'schemas', 'core'],
  app: ['http', 'integrations', 'schemas', 'core'],
  integrations: ['http', 'domain', 'store', 'lock', 'schemas', 'core'],
  http: ['domain', 'store', 'cluster', 'schemas', 'core'],
  domain: ['store', 'lock', 'cluster', 'schemas', 'core'],
  config: ['core'],
  store: ['core'],
  lock: ['core'],
  cluster: ['core'],
  embedded: [],
  schemas: [],
  core: [],
}

const roomOf = (file: string) => file.split('/')[0]!.replace(/\.ts$/, '')

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(/(?:from|import) ?\(?'([^']+)'/g)].map(([, name]) => name!)
}

function localImportsOf(file: string): string[] {
  return importsOf(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => relative(src, resolve(src, dirname(file), name)).replace(/\.js$/, '.ts'))
    .filter((name) => !name.startsWith('..'))
}

t.test('every room is in the list', async (t) => {
  t.strictSame(
    [...new Set(files.map(roomOf))].filter((room) => !(room in arrows)),
    [],
  )
})

t.test('every arrow points down', async (t) => {
  const wrong: string[] = []
  for (const file of files) {
    for (const target of localImportsOf(file)) {
      const [from, to] = [roomOf(file), roomOf(target)]
      if (from !== to && !arrows[from]?.includes(to)) wrong.push(`${file} → ${target}`)
    }
  }
  t.strictSame(wrong, [])
})

t.test('no file knows itself by a circle', async (t) => {
  const circles: string[] = []
  const done = new Set<string>()
  const walk = (file: string, path: string[]) => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      return
    }
    if (done.has(file)) return
    for (const target of localImportsOf(file)) walk(target, [...path, file])
    done.add(file)
  }
  for (const file of files) walk(file, [])
  t.strictSame(circles, [])
})

t.test('core is pure: it knows no framework, no driver, no clock and nothing of Node', async (t) => {
  const allowed = /^(\.|ip-address$)/
  for (const file of files.filter((name) => roomOf(name) === 'core')) {
    t.strictSame(
      importsOf(file).filter((name) => !allowed.test(name)),
      [],
      file,
    )
    const code = readFileSync(join(src, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    t.notMatch(code, /\b(await|process|Date\.now|new Date\(\)|performance|setTimeout|Math\.random)(?!\w)/, file)
  }
})

t.test('one file, one question', async (t) => {
  const only = (what: string, pattern: RegExp, owner: string[]) => {
    const users = files.filter((file) => pattern.test(readFileSync(join(src, file), 'utf8')))
    t.strictSame(users, owner, what)
  }
  only('who reads addresses with ip-address', /from 'ip-address'/, ['core/ip.ts'])
  only('who reads the environment', /process\.env/, ['main.ts'])
  only('who knows the driver', /from 'pg'/, ['store/database.ts'])
  const cluster = files.filter((file) => roomOf(file) === 'cluster')
  only(
    'who knows the client of Kubernetes',
    /'@kubernetes\/client-node'/,
    cluster.filter((file) => importsOf(file).includes('@kubernetes/client-node')),
  )
})

t.test('routes do not know each other, nor do integrations', async (t) => {
  for (const file of files.filter((name) => name.startsWith('http/routes/'))) {
    t.strictSame(
      localImportsOf(file).filter((name) => name.startsWith('http/routes/')),
      [],
      file,
    )
  }
  for (const file of files.filter((name) => name.startsWith('integrations/'))) {
    const own = file.split('/').slice(0, 2).join('/')
    t.strictSame(
      localImportsOf(file).filter((name) => name.startsWith('integrations/') && !name.startsWith(own)),
      [],
      file,
    )
  }
})
