import { help, settingsHelp } from './cli/help.js'
import { type Config, ConfigError, readConfig, strangers } from './config/config.js'
import { EmbeddedError } from './embedded/errors.js'
import { announcement } from './process/announcement.js'
import { openStore } from './process/open-store.js'
import { createLogger, serve, version } from './process/serve.js'
import { StartError } from './process/start-error.js'
import { NewerDatabase } from './store/migrate.js'

/**
 * The program. Sets the exit code: 0 done, 1 failed, 2 wrong usage or configuration.
 * @param argv the words after the program's name
 */
export async function main(argv: string[]): Promise<void> {
  const [command = '', ...rest] = argv
  const asksForHelp = rest.includes('--help') || rest.includes('-h')
  switch (command) {
    case 'serve':
    case 'migrate':
      if (asksForHelp) return print(settingsHelp(command))
      if (rest.length > 0) return usage(`${command} takes no arguments, but was given ${rest.join(' ')}`)
      return command === 'serve' ? runService() : runMigrate()
    case 'demo': {
      const { demo } = await import('./cli/demo.js')
      process.exitCode = await demo(rest, process.env)
      return
    }
    case 'version':
    case '--version':
      return print(`${version()}\n`)
    case 'help':
    case '--help':
    case '-h':
      return print(help())
    default:
      return usage(command === '' ? 'a command is missing' : `there is no command ${command}`)
  }
}

function print(text: string): void {
  process.stdout.write(text)
}

function usage(problem: string): void {
  process.stderr.write(`edge-ipam: ${problem}\n\n${help()}`)
  process.exitCode = 2
}

function progress(line: string): void {
  process.stderr.write(`edge-ipam: ${line}\n`)
}

/** Reads the settings, or says all that is wrong with them. */
function settled(): Config | undefined {
  try {
    const config = readConfig(process.env)
    for (const name of strangers(process.env)) progress(`${name}: there is no setting of this name; it changes nothing`)
    return config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) process.stderr.write(`edge-ipam: ${problem}\n`)
    process.exitCode = 2
    return undefined
  }
}

/** What people can mend is said in a line; all else is a fault of ours, and keeps its stack. */
function fail(error: unknown): void {
  if (error instanceof StartError || error instanceof EmbeddedError || error instanceof NewerDatabase) {
    process.stderr.write(`edge-ipam: ${error.message}\n`)
    process.exitCode = error instanceof StartError ? error.exitCode : 1
  } else {
    process.stderr.write(`edge-ipam: ${(error as Error).stack ?? error}\n`)
    process.exitCode = 1
  }
}

async function runMigrate(): Promise<void> {
  const config = settled()
  if (!config) return
  const stopping = new AbortController()
  onSignals(() => stopping.abort())
  try {
    const store = await openStore(config, progress, () => {}, stopping.signal)
    await store.stop()
    progress('the database is at the version that this program needs')
  } catch (error) {
    fail(error)
  }
  // What a signal's handlers left open keeps nobody waiting.
  process.exit()
}

function onSignals(listener: () => void): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, listener)
}

async function runService(): Promise<void> {
  const config = settled()
  if (!config) return
  const terminal = process.stdout.isTTY === true
  const log = createLogger(config.logLevel, terminal)
  const stopping = new AbortController()
  const starting = serve(config, progress, log, stopping.signal)

  const stop = async () => {
    // Ctrl-C comes twice by way of npm, and impatient people press it again: the first one counts.
    if (stopping.signal.aborted) return
    stopping.abort()
    const running = await starting.catch(() => undefined)
    await running?.stop()
    process.exit()
  }
  onSignals(() => void stop())

  try {
    const running = await starting
    if (!stopping.signal.aborted) print(announcement(running, config, terminal))
  } catch (error) {
    // Who was asked to stop has not failed.
    if (stopping.signal.aborted) return
    fail(error)
    process.exit()
  }
}
