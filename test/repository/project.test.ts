import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { settings } from '../../src/config/settings.js'
import { root } from './dockerfile.js'
import { markdownFiles, readText, repositoryFiles, tableRows } from './markdown.js'

const manifest = JSON.parse(readText('package.json'))

t.test('the package has the commands, the program and the Node that people count on', async (t) => {
  t.equal(manifest.engines.node, '>=20.19')
  t.strictSame(manifest.bin, { 'edge-ipam': 'bin/edge-ipam.mjs' })
  // One `exec node`: a script that is anything else ends by the signal, or leaves the service running.
  for (const name of ['start', 'test', 'bench', 'demo'])
    t.match(manifest.scripts[name], /^exec node scripts\/\w+\.mjs$/, name)
  for (const file of manifest.files.filter((name: string) => name !== 'dist')) t.ok(existsSync(join(root, file)), file)
  t.match(readText('LICENSE'), /Apache License\s+Version 2\.0/)
  t.equal(manifest.license, 'Apache-2.0')
})

t.test('the changes are told for this version', async (t) => {
  t.ok(readText('CHANGELOG.md').includes(`## [${manifest.version}]`), manifest.version)
})

t.test('the lockfile installs from whatever registry there is', async (t) => {
  t.ok(readText('.npmrc').split('\n').includes('omit-lockfile-registry-resolved=true'))
  const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, { resolved?: string }> }
  t.strictSame(
    Object.keys(packages).filter((name) => packages[name]?.resolved !== undefined),
    [],
  )
})

t.test('every relative link of every document leads somewhere', async (t) => {
  const dead: string[] = []
  for (const file of markdownFiles) {
    for (const [, target] of readText(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [path = '', anchor] = target!.split('#')
      const to = path === '' ? file : join(dirname(file), path)
      if (!existsSync(join(root, to))) dead.push(`${file}: ${target}`)
      else if (anchor !== undefined && !anchorsOf(to).includes(anchor))
        dead.push(`${file}: ${target} (no such heading)`)
    }
  }
  t.strictSame(dead, [])
})

/** The anchors that GitHub makes of a document's headings. */
function anchorsOf(file: string): string[] {
  return [...readText(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

t.test('every file, script and command that a document names is there', async (t) => {
  const commands = ['serve', 'migrate', 'demo', 'version']
  const absent: string[] = []
  for (const file of markdownFiles) {
    const text = readText(file)
    for (const [path] of text.matchAll(/(?<![\w/.-])(?:src|test|migrations|docs|bench|scripts)\/[\w./-]*\w/g)) {
      if (!existsSync(join(root, path)) && !existsSync(join(root, dirname(file), path))) absent.push(`${file}: ${path}`)
    }
    for (const [, script] of text.matchAll(/npm run ([\w:-]+)/g)) {
      if (!(script! in manifest.scripts)) absent.push(`${file}: npm run ${script}`)
    }
    for (const [, command] of text.matchAll(/`edge-ipam ([a-z]+)/g)) {
      if (!commands.includes(command!)) absent.push(`${file}: edge-ipam ${command}`)
    }
  }
  t.strictSame(absent, [])
})

const kept = repositoryFiles()
const unreadable = kept === undefined && 'this is no checkout that git may read'
t.test("no file names a folder of somebody's machine, or a registry", { skip: unreadable }, async (t) => {
  const foreign = /(?<![\w.])\/(?:work|home\/\w+|Users\/\w+)\/|registry\.(?:npmjs|npmmirror)/
  const present = kept?.filter((file) => existsSync(join(root, file))) ?? []
  t.ok(present.length > 100)
  t.strictSame(
    present.filter((file) => foreign.test(readText(file))),
    [],
  )
})

for (const [file, head] of [
  ['README.md', 'variable'],
  ['README.zh-CN.md', '变量'],
] as const) {
  t.test(`${file} lists exactly the settings there are, with their defaults`, async (t) => {
    const rows = tableRows(readText(file), head)
    const all = Object.values(settings) as { variable: string; fallback?: string }[]
    t.strictSame(
      rows.map(([variable]) => variable),
      all.map(({ variable }) => variable),
    )
    for (const { variable, fallback } of all) {
      const [, told] = rows.find((row) => row[0] === variable)!
      if (fallback !== undefined) t.ok(told!.startsWith(fallback), `${variable}: ${told}`)
    }
  })
}

t.test('docs/architecture.md shows the arrows that the test of the architecture checks', async (t) => {
  const [, text = ''] = /const arrows[^{]*\{\n([\s\S]*?)\n\}/.exec(readText('test/architecture.test.ts')) ?? []
  const checked = [...text.matchAll(/^ {2}(\w+): \[(.*)\]/gm)].map(([, room, rest]) => [
    room!,
    rest!.match(/\w+/g) ?? [],
  ])
  const told = tableRows(readText('docs/architecture.md'), 'room').flatMap(([rooms, rest]) =>
    rooms!.split(', ').map((room) => [room, rest === 'nothing' ? [] : rest!.split(', ')]),
  )
  t.ok(checked.length > 0)
  t.strictSame(Object.fromEntries(told), Object.fromEntries(checked))
})
