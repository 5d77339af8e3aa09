import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

function fuzz(...args: string[]): Promise<{ code: number | string; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(
      process.execPath,
      ['--import', 'tsx', 'test/fuzz/main.ts', ...args],
      { cwd: root, env: { PATH: '' } },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  )
}

t.test('npm run fuzz -- --help tells the rest', async (t) => {
  const { code, stdout } = await fuzz('--help')
  t.equal(code, 0)
  for (const option of ['--role', '--seed', '--examples', '--seconds']) t.ok(stdout.includes(`  ${option}`), option)
})

t.test('what it does not know is wrong usage', async (t) => {
  for (const args of [['--role', 'root'], ['--seed', '0'], ['--examples', '1e2'], ['--sideways'], ['now']]) {
    const { code, stdout, stderr } = await fuzz(...args)
    t.equal(code, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, /^fuzz: /)
  }
})

t.test('without Python it says what to install', async (t) => {
  const { code, stderr } = await fuzz()
  t.equal(code, 1)
  t.match(stderr, /Python 3\.11 or newer is needed.*apt-get install python3/s)
})
