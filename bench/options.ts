import { parseArgs } from 'node:util'
import { measurements } from './figures.js'

export interface Options {
  help: boolean
  /** Names of figures; empty: all. */
  only: string[]
  quick: boolean
  rounds: number
  /** The length of a round. */
  seconds: number
  /** Where the JSON goes: `-` is stdout; undefined: nowhere. */
  json: string | undefined
  databaseUrl: string | undefined
  redisUrl: string | undefined
  profile: string | undefined
}

/** The words on the command line are wrong; the message says which. */
export class WrongUsage extends Error {}

export const help = `npm run bench -- [options]

Measures edge-ipam beside a bare Fastify server, and says how they compare. Absolute figures depend on the machine, so every
figure is a ratio: both sides are measured in turns, in the same run, by the same load generator; what is shown is the
median of the rounds' ratios, with the least and the greatest. Look-ups, registrations and releases go to the same paths of
the bare server, which checks bodies by the same schemas and stores nothing.

The service is the built program, with everything on: token, schemas, audit, log. Its database is a PostgreSQL with fsync:
an installed one, started for the run, else the embedded one. After each round the database is asked whether it holds what
was answered, and whether a large table or index was read from end to end. The load generator is wrk; a bare server that
waits for it makes a figure void. The figures of a cluster need the kube-apiserver that \`npm run test:k8s\` builds once.

  --only NAME      only this figure (may be repeated); the names are below
  --quick          two rounds of one second, with less prepared: under two minutes, and rough; says what it leaves out
  --rounds N       rounds of each side (default 5; with fewer the median is worth little)
  --seconds N      length of a round (default 6)
  --json[=FILE]    the figures and every round as JSON, on stdout or in a file
  --database URL   a PostgreSQL to use instead; the user has to be allowed to create databases
  --redis URL      a Redis or Valkey to use; else an installed one is started, and without one its figures are left out
  --profile DIR    have each service write a CPU profile there, and list where its time went (slows it down a little)
  --help

Figures:
${measurements
  .flatMap(({ figures }) => figures)
  .map(({ name, title }) => `  ${name.padEnd(18)} ${title}`)
  .join('\n')}

Exit code: 0 measured, 1 failed (also when a figure is void, the database holds something else than was answered, or a large
table was read as a whole), 2 wrong usage. A goal that is missed does not fail the run.
`

/** @throws WrongUsage */
export function readOptions(argv: readonly string[]): Options {
  // parseArgs knows no option whose value may be left out.
  const args = argv.map((word) => (word === '--json' ? '--json=-' : word))
  const values = parse(args)
  const names = measurements.flatMap(({ figures }) => figures.map(({ name }) => name))
  const only = values.only ?? []
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new WrongUsage(`--only ${unknown[0]}: the figures are ${names.join(', ')}`)
  return {
    help: values.help ?? false,
    only,
    quick: values.quick ?? false,
    rounds: whole('--rounds', values.rounds ?? (values.quick ? '2' : '5'), 1),
    seconds: whole('--seconds', values.seconds ?? (values.quick ? '1' : '6'), 1),
    json: values.json,
    databaseUrl: values.database,
    redisUrl: values.redis,
    profile: values.profile,
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean', short: 'h' },
        only: { type: 'string', multiple: true },
        quick: { type: 'boolean' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        json: { type: 'string' },
        database: { type: 'string' },
        redis: { type: 'string' },
        profile: { type: 'string' },
      },
    }).values
  } catch (error) {
    throw new WrongUsage((error as Error).message)
  }
}

function whole(name: string, text: string, least: number): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) < least) {
    throw new WrongUsage(`${name} ${text}: has to be a whole number from ${least}`)
  }
  return Number(text)
}
