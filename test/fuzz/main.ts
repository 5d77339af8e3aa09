import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Service, startService } from '../support/service.js'
import { installSchemathesis, NoPython } from './python.js'

// `npm run fuzz`: a service of its own, and schemathesis, which makes requests of the service's OpenAPI document.

const roles = ['admin', 'join', 'cloudcore', 'northbound', 'auditor']

const help = `npm run fuzz -- [options]

Starts a service of its own on a fresh database, and has schemathesis send it requests made from its OpenAPI document: the
examples, the edges of every schema, random ones, and chains of them. It fails on any 5xx, any answer that the document does
not have, anything valid that is refused as 400, and anything not valid that is taken.

Python 3.11 or newer is needed; what it needs of PyPI goes into node_modules/.cache, as pinned in test/fuzz/requirements.txt.
The database is the embedded one, or a new one on the server of EDGE_IPAM_TEST_DATABASE_URL.

  --role NAME    the role of the token: ${roles.join(', ')} (default admin)
  --seed N       the same seed makes the same requests (default 1)
  --examples N   random requests for each operation (default 25: under two minutes)
  --seconds N    go on, with more random requests, for so long
  --help

Exit code: 0 nothing found, 1 something found or it cannot run, 2 wrong usage.
`

interface Options {
  role: string
  seed: number
  examples: number
  seconds: number | undefined
}

class WrongUsage extends Error {}

process.exitCode = await main(process.argv.slice(2))

async function main(argv: string[]): Promise<number> {
  try {
    const options = readOptions(argv)
    if (options !== 'help') return await fuzz(options)
    process.stdout.write(help)
    return 0
  } catch (error) {
    const { message, stack } = error as Error
    if (error instanceof WrongUsage) say(`fuzz: ${message}\n\n${help}`)
    else say(`fuzz: ${error instanceof NoPython ? message : stack}`)
    return error instanceof WrongUsage ? 2 : 1
  }
}

function readOptions(args: string[]): Options | 'help' {
  const text = { type: 'string' } as const
  const options = { role: text, seed: text, examples: text, seconds: text, help: { type: 'boolean' } } as const
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
  try {
    values = parseArgs({ args, options }).values
  } catch (error) {
    throw new WrongUsage((error as Error).message)
  }
  if (values.help) return 'help'
  const whole = (name: string, value: string) => {
    if (!/^[1-9]\d{0,8}$/.test(value)) throw new WrongUsage(`--${name} ${value}: it has to be a whole number from 1`)
    return Number(value)
  }
  const { role = 'admin', seed = '1', examples = '25', seconds } = values
  if (!roles.includes(role)) throw new WrongUsage(`--role ${role}: the roles are ${roles.join(', ')}`)
  return {
    role,
    seed: whole('seed', seed),
    examples: whole('examples', examples),
    seconds: seconds === undefined ? undefined : whole('seconds', seconds),
  }
}

async function fuzz(options: Options): Promise<number> {
  const ends: (() => unknown)[] = []
  try {
    const program = await installSchemathesis(say)
    const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-fuzz-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    say('Starting a service.')
    const service = await startService(
      { teardown: ((end: () => unknown) => void ends.push(end)) as never },
      { env: { EDGE_IPAM_POOL: '10.213.0.0/24', LOG_LEVEL: 'warn' } },
    )
    const code = await run(program, folder, service, options)
    // Whatever the answers were: the log tells of what went wrong behind them.
    const errors = service.lines.filter((line) => /^\{"level":[56]0/.test(line))
    for (const line of errors.slice(0, 20)) say(line)
    if (errors.length > 0) say(`fuzz: the service logged ${errors.length} errors`)
    return code === 0 && errors.length === 0 ? 0 : 1
  } finally {
    for (let end = ends.pop(); end; end = ends.pop()) await end()
  }
}

async function run(program: string, folder: string, service: Service, options: Options): Promise<number | null> {
  const { role, seed, examples, seconds } = options
  say(`Role ${role}, seed ${seed}.`)
  const [config, hooks] = ['schemathesis.toml', 'hooks.py'].map((name) => fileURLToPath(new URL(name, import.meta.url)))
  const child = spawn(
    program,
    [
      `--config-file=${config}`,
      'run',
      `${service.url}/openapi.json`,
      `--seed=${seed}`,
      `--max-examples=${examples}`,
      '--continue-on-failure',
      ...(seconds === undefined ? [] : [`--max-time=${seconds}`]),
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        SCHEMATHESIS_HOOKS: hooks,
        EDGE_IPAM_TOKEN: await tokenOf(service, role),
        PYTHONDONTWRITEBYTECODE: '1',
      },
    },
  )
  // The signal reaches the child, too: what is started is ended here all the same.
  const ignore = () => {}
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ignore)
  const [code] = await once(child, 'close')
  return code
}

async function tokenOf(service: Service, role: string): Promise<string> {
  if (role === 'admin') return service.adminToken
  return (await service.call('POST', '/v1/tokens', { role })).body.secret
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
