import { writeFileSync } from 'node:fs'
import type { Result } from './figure.js'
import { measurements } from './figures.js'
import { findWrk, NoGenerator } from './load/wrk.js'
import { machineFacts } from './machine.js'
import type { Bench } from './measurement.js'
import { help, type Options, readOptions, WrongUsage } from './options.js'
import { Scope } from './scope.js'
import { openPostgres } from './servers/postgres.js'
import { installProgram } from './servers/program.js'
import { openRedis } from './servers/redis.js'
import { tableOf } from './table.js'

// `npm run bench`. The path of a figure: figures.ts lists the measurements, in the order of the table; each of figures/ says
// which contestants there are and who is compared with whom, contestants/ starts them, contest.ts and turns.ts measure them
// in turns, results.ts makes ratios of the rounds, table.ts shows them. What compares nobody is a probe (probe.ts): one
// function and the figures it finds.

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
    const machine = await machineFacts({ postgres, redis, wrk, options })
    progress(machine.join('\n'))
    const bench: Bench = { ...options, postgres, redis, program, progress, scope, signal: interrupted }
    const results: Result[] = []
    const problems: string[] = []
    const details: Record<string, unknown> = {}
    const skipped: string[] = []
    for (const measurement of measurements) {
      const wanted = new Set<string>()
      for (const { name, long = measurement.long } of measurement.figures) {
        const asked = options.only.includes(name)
        if (options.only.length > 0 && !asked) continue
        if (options.quick && !asked && long !== undefined) skipped.push(`${name}: ${long}`)
        else wanted.add(name)
      }
      if (wanted.size === 0) continue
      const outcome = await measurement.run(bench, wanted)
      results.push(...outcome.results)
      problems.push(...outcome.problems.map((one) => `${measurement.name}, ${one}`))
      details[measurement.name] = outcome.details
    }
    const json = `${JSON.stringify({ machine, results, skipped, problems, details }, null, 2)}\n`
    if (options.json === '-') process.stdout.write(json)
    else process.stdout.write(`\n${machine.join('\n')}\n\n${tableOf(results)}\n`)
    for (const one of skipped) progress(`Left out by --quick: ${one}`)
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
