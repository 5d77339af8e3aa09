import { constants } from 'node:os'
import { deviceMoves, nodeLeavesAndReturns } from './demo/changing.js'
import { Client, DemoError } from './demo/client.js'
import { cloudcoreLooksUp, consoleSearches, everybodyJoins, someAskAgain } from './demo/joining.js'
import { leaveService } from './demo/leaving.js'
import { DEFAULT_CIDR, type DemoOptions, demoHelp, readOptions, UsageError } from './demo/options.js'
import { resultOf, resultText } from './demo/result.js'
import { type DemoNode, newPrefix, prepareRun, type Run, usablePools } from './demo/run.js'
import { count, integer, Screen } from './demo/screen.js'
import { checkSums, type Sums, showTable, showTimings } from './demo/sums.js'
import { startThrowaway, type Throwaway } from './demo/throwaway.js'

/**
 * Shows the product at work, on a throw-away service or a running one. Writes to stdout, faults to stderr.
 * @param argv the words after `demo`
 * @param env where the token comes from, and what the terminal can do
 * @returns the exit code: 0 everything added up, 1 something did not, 2 wrong usage, 128 + n after signal n
 */
export async function demo(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: DemoOptions | 'help'
  try {
    options = readOptions(argv, env)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    for (const problem of error.problems) process.stderr.write(`edge-ipam: ${problem}\n`)
    process.stderr.write('edge-ipam: edge-ipam demo --help tells the options\n')
    return 2
  }
  if (options === 'help') {
    process.stdout.write(demoHelp)
    return 0
  }
  const stop = new AbortController()
  const ignore = stopOnSignals(stop)
  try {
    return await perform(options, env, stop)
  } finally {
    ignore()
  }
}

/** A signal asked for the end. */
class Stopped extends DemoError {
  constructor(
    signal: string,
    readonly exitCode: number,
  ) {
    super(`stopped by ${signal}`)
  }
}

function stopOnSignals(stop: AbortController): () => void {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  let since: number | undefined
  const onSignal = (name: NodeJS.Signals) => {
    const exitCode = 128 + constants.signals[name]
    // Ctrl-C comes twice by way of npm; later ones come from people who do not want to wait for tidying up.
    if (since !== undefined && performance.now() - since > 1000) process.exit(exitCode)
    since ??= performance.now()
    stop.abort(new Stopped(name, exitCode))
  }
  // Whoever read the output is gone (`| head`): there is nobody left to show anything.
  const onBroken = () => stop.abort(new Stopped('a closed output', 1))
  for (const name of names) process.on(name, onSignal)
  process.stdout.on('error', onBroken)
  return () => {
    for (const name of names) process.off(name, onSignal)
  }
}

/** What a run found out. */
export interface Story {
  rows: DemoNode[]
  sums: Sums
}

async function perform(options: DemoOptions, env: NodeJS.ProcessEnv, stop: AbortController): Promise<number> {
  const screen = new Screen(process.stdout, env, options.json)
  const prefix = options.server ? newPrefix() : ''
  let throwaway: Throwaway | undefined
  let run: Run | undefined
  let story: Story | undefined
  let failure: unknown
  let stays: string[] = []
  const at = () => options.server ?? throwaway!
  screen.title(
    `edge-ipam demo: ${options.sites} sites with ${count(options.nodesPerSite, 'edge node')} each, and all sites use ` +
      'the same private addresses.',
  )
  try {
    if (!options.server) {
      screen.step('A throw-away service starts, on an embedded PostgreSQL.')
      throwaway = await startThrowaway(env, options.cidr ?? DEFAULT_CIDR, stop.signal, (error) => stop.abort(error))
      screen.say(`It listens on ${throwaway.url.origin}, and its data are in ${throwaway.folder}; both go at the end.`)
    } else {
      screen.step(`The demo runs against ${options.server.url.href}.`)
    }
    const client = new Client(at().url, at().token, options.connections, stop.signal)
    try {
      run = await prepareRun(options, client, screen, prefix)
      story = await tell(run)
    } finally {
      client.close()
    }
  } catch (error) {
    failure = error
  }
  try {
    if (options.server) stays = await leave(options.server, options, screen, prefix)
    await throwaway?.remove()
  } catch (error) {
    failure ??= error
    process.stderr.write(`edge-ipam: not all was removed: ${(error as Error).message}\n`)
  }
  return conclude({ options, screen, run, story, stays, failure })
}

/** The steps, in order. */
async function tell(run: Run): Promise<Story> {
  const pools = await usablePools(run)
  const free = pools.map(({ name, cidr, utilization }) => `${name} (${cidr}, ${integer(utilization.free)} free)`)
  run.screen.say(`${count(pools.length, 'pool')} to allocate from: ${free.join(', ')}.`)
  await everybodyJoins(run)
  await someAskAgain(run)
  await cloudcoreLooksUp(run)
  await consoleSearches(run)
  await deviceMoves(run)
  await nodeLeavesAndReturns(run)
  const rows = showTable(run)
  showTimings(run)
  return { rows, sums: await checkSums(run) }
}

/** A client of its own, since the run's may have been stopped: leaving is what a stopped run still does. */
async function leave(
  server: { url: URL; token: string },
  { connections, cidr, keepNodes }: DemoOptions,
  screen: Screen,
  prefix: string,
): Promise<string[]> {
  const client = new Client(server.url, server.token, connections, new AbortController().signal)
  screen.step('The demo leaves the service as it was.')
  try {
    const ownPool = cidr === undefined ? undefined : `${prefix}pool`
    const stays = await leaveService(client, screen, { prefix, ownPool, keepNodes })
    screen.say(`Nodes and tokens of the run are removed. What stays: ${stays.join(' ')}`)
    return stays
  } finally {
    client.close()
  }
}

function conclude(end: {
  options: DemoOptions
  screen: Screen
  run: Run | undefined
  story: Story | undefined
  stays: string[]
  failure: unknown
}): number {
  const { options, screen, failure } = end
  const { problems } = screen
  if (failure !== undefined) problems.push(textOf(failure))
  if (options.json) process.stdout.write(resultText(resultOf({ ...end, problems })))
  if (failure !== undefined) process.stderr.write(`edge-ipam: ${textOf(failure)}\n`)
  if (problems.length === 0) {
    screen.verdict(true, `Everything added up: ${count(screen.checks.length, 'check')}, none failed.`)
    return 0
  }
  if (failure === undefined) {
    screen.verdict(false, `${count(problems.length, 'thing')} did not add up:`)
    for (const problem of problems) process.stderr.write(`edge-ipam: ${problem}\n`)
  }
  return failure instanceof Stopped ? failure.exitCode : 1
}

/** What people can mend is said in a sentence; all else is a fault of ours, and keeps its stack. */
function textOf(failure: unknown): string {
  return failure instanceof DemoError ? failure.message : ((failure as Error)?.stack ?? String(failure))
}
