import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createDatabase } from '../support/postgres.js'
import { startService } from '../support/service.js'

const program = fileURLToPath(new URL('../../bin/edge-ipam.mjs', import.meta.url))

async function run(words: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, ...words], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (chunk) => {
      text[stream] += chunk
    })
  }
  const [code] = await once(child, 'close')
  return { code, ...text, stderr: text.stderr.replace(/^(Building|Installing).*\n/gm, '') }
}

const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-program-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
async function file(text: string): Promise<string> {
  const path = join(folder, randomBytes(4).toString('hex'))
  await writeFile(path, text, { mode: 0o600 })
  return path
}

t.test('help is there for the program and each of its commands, on stdout, with exit code 0', async (t) => {
  for (const words of [['--help'], ['-h'], ['help'], ['serve', '--help'], ['migrate', '-h'], ['demo', '--help']]) {
    const { code, stdout, stderr } = await run(words)
    t.equal(code, 0, words.join(' '))
    t.match(stdout, 'edge-ipam', words.join(' '))
    t.equal(stderr, '', words.join(' '))
  }
  const { stdout } = await run(['--help'])
  for (const command of ['serve', 'migrate', 'demo']) t.match(stdout, command)
  t.match((await run(['serve', '--help'])).stdout, 'EDGE_IPAM_ADMIN_TOKEN', 'with the settings')
})

t.test('wrong usage has exit code 2, and says what is wrong', async (t) => {
  for (const [words, said] of [
    [[], /a command is missing/],
    [['server'], /there is no command server/],
    [['serve', 'now'], /serve takes no arguments/],
    [['migrate', '--force'], /migrate takes no arguments/],
  ] as const) {
    const { code, stdout, stderr } = await run([...words])
    t.equal(code, 2, words.join(' '))
    t.match(stderr, said)
    t.equal(stdout, '')
  }
})

t.test('a secret may be given as a file', async (t) => {
  const databaseUrl = await createDatabase(t)
  const adminToken = randomBytes(24).toString('base64url')
  const service = await startService(t, {
    databaseUrl,
    adminToken,
    // An empty variable is none.
    env: {
      DATABASE_URL: '',
      DATABASE_URL_FILE: await file(`${databaseUrl}\n`),
      EDGE_IPAM_ADMIN_TOKEN: '',
      EDGE_IPAM_ADMIN_TOKEN_FILE: await file(`${adminToken}\n`),
    },
  })
  t.equal((await service.call('GET', '/v1/pools')).status, 200)
  t.notMatch(service.lines.join('\n'), adminToken)
})

t.test('a secret that is there twice, or in no file, is refused, and never shown', async (t) => {
  const token = randomBytes(24).toString('base64url')
  const short = 'too-short-to-be-one'
  for (const [env, said] of [
    [{ EDGE_IPAM_ADMIN_TOKEN: token, EDGE_IPAM_ADMIN_TOKEN_FILE: await file(token) }, /only one of them may be set/],
    [{ EDGE_IPAM_ADMIN_TOKEN_FILE: join(folder, 'nowhere') }, /EDGE_IPAM_ADMIN_TOKEN_FILE=.*nowhere: cannot be read/],
    [{ EDGE_IPAM_ADMIN_TOKEN_FILE: await file(' \n') }, /the file is empty/],
    [{ EDGE_IPAM_ADMIN_TOKEN_FILE: await file(short) }, /EDGE_IPAM_ADMIN_TOKEN: has to have 32/],
    [{ REDIS_URL_FILE: await file(`http://:${token}@x`) }, /REDIS_URL: has to begin with redis:/],
    [{ DATABASE_URL_FILE: await file(`mysql://u:${token}@x/y`) }, /DATABASE_URL: has to begin with postgres:/],
  ] as const) {
    const { code, stdout, stderr } = await run(['serve'], { LOG_LEVEL: 'loud', ...env })
    t.equal(code, 2, stderr)
    t.match(stderr, said)
    t.match(stderr, /LOG_LEVEL=loud: /, 'with every other setting that is wrong')
    for (const secret of [token, short]) t.notOk(`${stdout}${stderr}`.includes(secret))
  }
})
