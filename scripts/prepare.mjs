// Makes a clone ready to run: packages, then the build. Plain JavaScript without packages, since there may be none yet.
// What is done is remembered by stamps that hold hashes and are written last; times of files mean nothing in a checkout.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { basename, dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { endLeftoverChild, forgetChild, rememberChild, withPrepareLock } from './prepare-lock.mjs'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const dist = join(root, 'dist')
const installStamp = join(modules, '.edge-ipam-stamp')
const buildStamp = join(dist, '.stamp')
/** Lock file, half-done builds. Holds its own .gitignore. */
const workshop = join(root, '.prepare')

/**
 * Installs and builds whatever is missing. Lines for people go to stderr, since stdout may belong to the service.
 * A failure is explained and ends the process with 1; a signal ends it with 128 + its number, and npm or tsc with it.
 */
export async function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`This needs Node 20.19 or newer; this is ${process.versions.node}. See https://nodejs.org.`)
  }
  if ((await isInstalled()) && (await isBuilt())) return
  const release = stopOnSignals()
  try {
    await mkdir(workshop, { recursive: true })
    await writeFile(join(workshop, '.gitignore'), '*\n')
    await withPrepareLock(root, say, async () => {
      await endLeftoverChild(workshop)
      if (!(await isInstalled())) await install()
      if (!(await isBuilt())) await build()
    })
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'].includes(error.code)) throw error
    fail(
      `This folder cannot be made ready: ${error.message}\nGive this user write permission in ${root}, or clone anew.`,
    )
  } finally {
    release()
  }
}

async function isInstalled() {
  return (await text(installStamp)) === (await lockfileHash()) || (await isInstalledByHand())
}

/** npm writes its own record of what is installed as the last thing: an `npm ci` that somebody ran needs no second one. */
async function isInstalledByHand() {
  const record = await text(join(modules, '.package-lock.json'))
  if (record === undefined) return false
  const have = JSON.parse(record).packages
  const want = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(([path, entry]) => {
    if (path === '') return true
    const found = have[path]
    if (found === undefined) return entry.optional === true
    if (found.version !== entry.version || found.integrity !== entry.integrity) return false
    return existsSync(join(root, path, 'package.json'))
  })
}

async function isBuilt() {
  return (await text(buildStamp)) === (await sourceHash())
}

async function install() {
  say('Installing the packages of package-lock.json; this happens once and takes about half a minute.')
  // Both first: if this is killed while npm clears the folder, neither may vouch for what is left.
  await rm(installStamp, { force: true })
  await rm(join(modules, '.package-lock.json'), { force: true })
  const npm = process.env.npm_execpath
  const command = npm !== undefined && basename(npm) === 'npm-cli.js' ? [process.execPath, npm] : ['npm']
  // The build needs the development packages, whatever NODE_ENV says.
  const { code, output } = await run([...command, 'ci', '--include=dev', '--no-audit', '--no-fund'], 'Installing')
  if (code !== 0) {
    // npm's warnings and its page of usage would bury the one line that matters.
    const words = output
      .replace(/^npm error Clean install a project$[\s\S]*/m, '')
      .replace(/^npm (warn|notice).*\n?/gm, '')
    fail(
      `${words.trim()}\n\nThe packages could not be installed (npm ci ended with ${code}; its words are above).\n` +
        (/code EUSAGE/.test(output)
          ? 'package.json was changed without package-lock.json: run `npm install` once, then this again.'
          : 'Check that the npm registry can be reached and that the disk has room, then run this again: it starts afresh.'),
    )
  }
  await writeFile(installStamp, await lockfileHash())
}

async function build() {
  say('Building.')
  const hash = await sourceHash()
  for (const name of await readdir(workshop)) {
    if (name.startsWith('build-')) await rm(join(workshop, name), { recursive: true, force: true })
  }
  const fresh = await mkdtemp(join(workshop, 'build-'))
  const tsc = [process.execPath, join(modules, 'typescript', 'bin', 'tsc')]
  const out = join(fresh, 'dist')
  const { code, output } = await run(
    [
      ...tsc,
      '-p',
      join(root, 'tsconfig.build.json'),
      '--outDir',
      out,
      '--incremental',
      'false',
      '--tsBuildInfoFile',
      'null',
    ],
    'Building',
  )
  if (code !== 0) {
    await rm(fresh, { recursive: true, force: true })
    fail(`${output.trim()}\n\nThe build failed; the compiler's words are above.`)
  }
  // What the compiler does not copy: pages, scripts, SQL.
  await cp(join(root, 'src'), out, { recursive: true, filter: (source) => extname(source) !== '.ts' })
  await writeFile(join(out, '.stamp'), hash)
  await rename(dist, join(fresh, 'old')).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  await rename(out, dist)
  await rm(fresh, { recursive: true, force: true })
}

async function lockfileHash() {
  return createHash('sha256')
    .update(await readFile(join(root, 'package-lock.json')))
    .digest('hex')
}

async function sourceHash() {
  const entries = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  files.push(...['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => join(root, name)))
  const hash = createHash('sha256')
  for (const file of files.sort()) {
    const content = await readFile(file)
    hash.update(`${file.slice(root.length)}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

let child
let stoppedBy

/** Runs a program in a process group of its own, so that a signal can end it together with its children. */
async function run([command, ...args], what) {
  child = spawn(command, args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const started = Date.now()
  const word = setInterval(() => say(`${what}: ${Math.round((Date.now() - started) / 1000)} s …`), 5_000)
  let output = ''
  const collect = (chunk) => {
    output = (output + chunk).slice(-20_000)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: -1, output: `${command}: ${error.message}` }))
    child.once('close', (code) => resolve({ code, output }))
  })
  if (child.pid !== undefined) await rememberChild(workshop, child.pid)
  const result = await ended
  clearInterval(word)
  child = undefined
  await forgetChild(workshop)
  if (stoppedBy !== undefined) process.exit(128 + constants.signals[stoppedBy])
  return result
}

function stopOnSignals() {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  const stop = (signal) => {
    stoppedBy ??= signal
    if (child?.pid === undefined) process.exit(128 + constants.signals[stoppedBy])
    killGroup(child.pid, 'SIGTERM')
    // npm may be in the middle of a script that does not listen.
    setTimeout(() => child && killGroup(child.pid, 'SIGKILL'), 3_000).unref()
  }
  for (const signal of signals) process.on(signal, stop)
  return () => {
    for (const signal of signals) process.removeListener(signal, stop)
  }
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch {
    // Just ended.
  }
}

async function text(file) {
  return readFile(file, 'utf8').catch(() => undefined)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

function fail(lines) {
  say(lines)
  process.exit(1)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await prepare()
