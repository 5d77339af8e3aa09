import { writeFileSync } from 'node:fs'
import { type Contestant, runContest, type Standing } from './contest.js'
import { Absent, type Bench } from './contestants.js'
import { type Contest, contests } from './figures.js'
import { findWrk, NoGenerator } from './load/wrk.js'
import { machineFacts } from './machine.js'
import { help, type Options, readOptions, WrongUsage } from './options.js'
import { topFunctions } from './profile.js'
import { type Result, resultOf } from './results.js'
import { Scope } from './scope.js'
import { openPostgres } from './servers/postgres.js'
import { installProgram } from './servers/program.js'
import { openRedis } from './servers/redis.js'
import { tableOf } from './table.js'

// `npm run bench`. The path of a figure: figures.ts says which contestants there are and who is compared with whom,
// contestants.ts starts them, contest.ts measures them in turns, results.ts makes ratios of the rounds, table.ts shows them.

const progress = (line: string) => void process.stderr.write(`${line}\n`)

process.exitCode = await main(process.argv.slice(2))

async function main(argv: string[]): Promise<number> {
  try {
    const options = readOptions(argv)
    if (options.help) {
      process.stdout.write(help)
      return 0
    }
    return await run(options, findWrk())
  } catch (error) {
    if (error instanceof WrongUsage) {
      progress(`bench: ${error.message}\n\n${help}`)
      return 2
    }
    progress(`bench: ${error instanceof NoGenerator ? error.message : (error as Error).stack}`)
    return 1
  }
}

async function run(options: Options, wrk: string): Promise<number> {
  const scope = new Scope()
  const interruption = new AbortController()
  const interrupt = () => interruption.abort(new Error('interrupted'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  const interrupted = interruption.signal
  try {
    const postgres = await openPostgres(options.databaseUrl, scope, progress)
    const redis = await openRedis(options.redisUrl, scope)
    const program = installProgram(scope)
    const bench: Bench = { postgres, redis, program, profile: options.profile, signal: interrupted }
    const machine = await machineFacts({ postgres, redis, wrk, options })
    progress(machine.join('\n'))
    const results: Result[] = []
    const rounds: Record<string, Record<string, Standing>> = {}
    for (const contest of contests) {
      const figures = contest.figures.filter(({ name }) => options.only.length === 0 || options.only.includes(name))
      if (figures.length === 0) continue
      const { standings, absent } = await hold({ ...contest, figures }, bench, options)
      results.push(...figures.map((figure) => resultOf(figure, standings, absent)))
      rounds[contest.name] = Object.fromEntries(standings)
    }
    const problems = Object.entries(rounds).flatMap(([contest, standings]) =>
      Object.entries(standings).flatMap(([key, { problems: found }]) =>
        found.map((one) => `${contest}, ${key}: ${one}`),
      ),
    )
    const json = `${JSON.stringify({ machine, results, problems, rounds }, null, 2)}\n`
    if (options.json === '-') process.stdout.write(json)
    else process.stdout.write(`\n${machine.join('\n')}\n\n${tableOf(results)}\n`)
    if (options.json !== undefined && options.json !== '-') writeFileSync(options.json, json)
    for (const problem of problems) progress(`WRONG: ${problem}`)
    return problems.length > 0 || results.some((result) => result.void !== null) ? 1 : 0
  } catch (error) {
    // Whatever failed then, failed because of it.
    if (!interrupted.aborted) throw error
    progress('bench: interrupted')
    return 130
  } finally {
    await scope.end()
  }
}

/** One contest, with those of its contestants that its figures need. */
async function hold({ name, contestants: builders, figures }: Contest, bench: Bench, options: Options) {
  const scope = new Scope()
  const contestants = new Map<string, Contestant>()
  const absent = new Map<string, string>()
  let standings = new Map<string, Standing>()
  const needed = new Set(figures.flatMap(({ ours, against }) => [against, ours]))
  try {
    progress(`\n${name}: starting ${[...needed].join(', ')}`)
    for (const key of needed) {
      try {
        contestants.set(key, await builders[key]!(bench, scope, `${name}-${key}`))
      } catch (error) {
        if (!(error instanceof Absent)) throw error
        absent.set(key, error.message)
      }
    }
    standings = await runContest(contestants, { ...options, progress: (line) => progress(`  ${line}`) })
    return { standings, absent }
  } finally {
    await scope.end()
    if (bench.profile !== undefined) {
      for (const [key, { rounds }] of standings) {
        const lines = topFunctions(`${bench.profile}/${name}-${key}`, rounds, 10)
        if (lines.length > 0) progress(`\n  ${name}, ${key}: where its time went\n  ${lines.join('\n  ')}`)
      }
    }
  }
}
