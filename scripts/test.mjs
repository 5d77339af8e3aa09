// `npm test`: types, lint and format, then every test this machine can run. `npm test -- <files or tap options>` runs only those.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare, root } from './prepare.mjs'
import { runNode } from './run-child.mjs'

const bin = (...path) => join(root, 'node_modules', ...path)
const args = process.argv.slice(2)
const strict = /^(1|true)$/i.test(process.env.CI ?? '')

await prepare()
process.exitCode = (args.length === 0 ? await staticChecks() : 0) || (await tests())

async function staticChecks() {
  const checks = [
    ['Types', [bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json']],
    ['Lint and format', [bin('@biomejs', 'biome', 'bin', 'biome'), strict ? 'ci' : 'check', '.']],
  ]
  // Both always run, so that one report names everything.
  let worst = 0
  for (const [name, command] of checks) {
    process.stderr.write(`${name}.\n`)
    const code = await runNode(command)
    if (code >= 128) return code
    worst ||= code
  }
  if (worst !== 0)
    process.stderr.write('The checks above failed; no test was run. `npm run format` puts most of it right.\n')
  return worst
}

async function tests() {
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-test-'))
  const server = await testServer(folder)
  try {
    const tap = join(folder, 'results.tap')
    // With no terminal tap would write its raw results, and with an output file each line of them twice.
    const chosen = args.some((arg) => /^(-R|--reporter)/.test(arg)) ? [] : ['--reporter=base']
    const code = await runNode([bin('tap', 'dist', 'esm', 'run.mjs'), `--output-file=${tap}`, ...chosen, ...args], {
      ...(server === undefined ? {} : { EDGE_IPAM_TEST_EMBEDDED_URL: server.url }),
      // Has the reporter append lines instead of redrawing them.
      ...(process.stdout.isTTY ? {} : { CONTINUOUS_INTEGRATION: '1' }),
    })
    return report(await readFile(tap, 'utf8').catch(() => ''), code)
  } finally {
    await server?.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** One PostgreSQL for the whole run; every test file makes databases of its own in it. */
async function testServer(folder) {
  if (process.env.EDGE_IPAM_TEST_DATABASE_URL) return undefined
  const { startServer } = await import('../dist/embedded/postgres.js')
  return startServer({ dataDir: join(folder, 'database'), progress: () => {}, unsafe: true })
}

/** Counts by tap's own summary, names what was skipped and why, and returns the exit code. */
function report(tap, code) {
  const summary = [...tap.matchAll(/^# \{ (total: .*) \}$/gm)].at(-1)?.[1] ?? ''
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  // On a terminal tap has shown them itself.
  if (!process.stdout.isTTY) console.log(failures(tap).join('\n'))
  const left = skipped(tap)
  const failed = Math.max(count('fail'), code === 0 ? 0 : 1)
  let exitCode = code
  if (left.length > 0) console.log(`\nSkipped:\n${left.map((line) => `  ${line}`).join('\n')}`)
  if (strict && left.length > 0) {
    console.log('CI=true: a skipped test fails the run.')
    exitCode ||= 1
  }
  console.log(`\n${count('pass')} passed, ${failed} failed, ${count('skip') + count('todo')} skipped`)
  return exitCode
}

/** Every result line of tap's output with the names of the tests around it, and the indented details that follow it. */
function* results(tap) {
  const names = []
  const lines = tap.split('\n')
  for (const [index, line] of lines.entries()) {
    const indent = line.length - line.trimStart().length
    const depth = indent / 4
    const opened = /^ *# Subtest: (.*)$/.exec(line)
    if (opened) names[depth] = opened[1]
    const point = /^ *(not )?ok \d+(?: - (.*?))?(?: # (SKIP|TODO)\b ?(.*?))?(?: ?# time=.*)?$/.exec(line)
    if (!point) continue
    const details = []
    const inside = ' '.repeat(indent + 2)
    if (lines[index + 1] === `${inside}---`) {
      for (let at = index + 2; at < lines.length && lines[at] !== `${inside}...`; at++) {
        details.push(lines[at].slice(indent))
      }
    }
    const path = [...names.slice(0, depth), point[2] ?? '(no name)'].join(' > ')
    yield { depth, path, failed: point[1] !== undefined && !point[3], left: point[3], reason: point[4], details }
  }
}

function skipped(tap) {
  const left = [...results(tap)].filter((result) => result.left)
  return left.map(({ path, reason }) => `${path}: ${reason || 'no reason given'}`)
}

/** The failed assertions; a file only when none of its assertions did (it crashed, or took too long). */
function failures(tap) {
  const shown = []
  let explained = false
  for (const { depth, path, failed, details } of results(tap)) {
    const assertion = details.some((line) => /^ +(diff|stack|tapCaught|compare):/.test(line))
    if (failed && (assertion || (depth === 0 && !explained))) {
      shown.push(`\nFAILED ${path}`, ...details)
      explained = true
    }
    if (depth === 0) explained = false
  }
  return shown
}
