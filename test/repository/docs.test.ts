import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { writeKeadm } from '../join/keadm.js'
import { startService } from '../support/service.js'
import { type Example, examplesOf, markdownFiles, otherCommands, readText, runningTests } from './markdown.js'

const documented = 'http://127.0.0.1:8080'
const separator = '\n-- next --\n'

for (const file of markdownFiles) {
  const examples = examplesOf(readText(file))
  if (examples.length === 0) continue
  t.test(`${file}: every example runs, and prints what it says`, async (t) => {
    const outputs = await run(t, examples)
    for (const [index, { script, output }] of examples.entries()) {
      if (output !== null) t.match(outputs[index], pattern(output), script)
    }
  })
}

// Commands that no test runs as they stand, and why.
const notRun: [command: RegExp, why: string][] = [
  [/^npm start$/, 'test/repository/start.test.ts runs it, with a port and a folder of its own'],
  [/^npm test( -- .*)?$/, 'it is what runs this'],
  [/^npm run format$/, 'it writes into the checkout; npm test has the same check'],
  [/^npm run test:k8s$/, 'builds Kubernetes from Go modules; .ci/run has it'],
  [/^npm run fuzz$/, 'takes two minutes, and Python; .ci/run has it'],
  [/^npm run bench -- /, 'takes minutes, wrk and a calm machine'],
  [/^kubectl (rollout status|create secret tls) /, 'needs a kubelet, or a certificate of your own'],
  [/^docker /, 'needs a container engine; test/repository/dockerfile.test.ts does what it can without'],
  [
    /^curl -fsSL .*-o join\.sh https:\/\/ipam\.example\.com\/join\.sh && /,
    'for a device: test/join does it on stand-ins',
  ],
]

t.test('every command of the documents is run by a test, or there is a reason why not', async (t) => {
  const commands = markdownFiles.flatMap((file) => otherCommands(readText(file)).map((command) => ({ file, command })))
  t.strictSame(
    commands.filter(({ command }) => !notRun.some(([pattern]) => pattern.test(command))),
    [],
  )
  for (const [pattern, why] of notRun) {
    t.ok(
      commands.some(({ command }) => pattern.test(command)),
      `${pattern} is still needed: ${why}`,
    )
  }
  for (const file of markdownFiles) {
    for (const test of runningTests(readText(file))) {
      t.match(readText(test), `blocksRunIn('${test}'`, `${test} runs the blocks of ${file} that name it`)
    }
  }
})

/** Runs the blocks of one file in one shell against a fresh service, as a reader would who follows it from the top. */
async function run(t: Test, examples: Example[]): Promise<string[]> {
  const service = await startService(t)
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-docs-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, '.edge-ipam'))
  writeFileSync(join(folder, '.edge-ipam', 'admin-token'), `${service.adminToken}\n`)
  mkdirSync(join(folder, 'bin'))
  writeKeadm(join(folder, 'bin', 'keadm'), 'set', join(folder, 'keadm'))
  const script = ['set -eu', ...examples.map((one) => `${one.script}printf '${separator.replaceAll('\n', '\\n')}'`)]
  const { stdout } = await promisify(execFile)('sh', ['-c', script.join('\n').replaceAll(documented, service.url)], {
    cwd: folder,
    env: { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, HOME: folder },
  })
  return stdout.replaceAll(service.url, documented).split(separator)
}

/** A block of output as a pattern. Line breaks do not count: answers in JSON end without one. */
function pattern(output: string): RegExp {
  const lines = output.trim().split('\n')
  const quoted = lines.map((line) => line.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…', '.+'))
  return new RegExp(`^${quoted.join('\\s*')}\\s*$`)
}
