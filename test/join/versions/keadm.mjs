// A stand-in for keadm: `keadm.mjs FOLDER ARGUMENTS`. FOLDER is the device; its release.json says which keadm this is. Every call
// is noted in FOLDER/state/keadm, with its exit code. Help and version are told without this program: see tells.ts.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, usage } from './cobra.mjs'
import { configOf, defaultConfig, isRunning, save } from './edgecore.mjs'
import { systemd } from './systemd.mjs'
import { write } from './yaml.mjs'

const [folder, ...words] = process.argv.slice(2)
const release = JSON.parse(readFileSync(join(folder, 'release.json'), 'utf8'))
const systemctl = systemd(folder, release)
const unit = join(folder, 'etc/systemd/system/edgecore.service')
const managed = join(folder, 'etc/kubeedge')

const commands = {
  join: { flags: release.join, run: joinCluster },
  reset: { flags: release.reset, run: (values, rest) => reset(values, rest, false) },
  'reset edge': { flags: release.resetEdge, run: (values, rest) => reset(values, rest, true) },
}

let code = 0
try {
  main()
} catch (error) {
  process.stderr.write(`Error: ${error.message}\n`)
  if (release.failure.usage && error.usage) process.stderr.write(`${error.usage}\n`)
  process.stdout.write(`execute keadm command failed:  ${error.message}\n`)
  code = release.failure.code
}
appendFileSync(
  join(folder, 'state/keadm'),
  `${JSON.stringify({ words, code, environment: Object.values(process.env).join('\n') })}\n`,
)
process.exitCode = code

function main() {
  const name = words[0] === 'reset' && words[1] === 'edge' && release.resetEdge ? 'reset edge' : words[0]
  const command = commands[name]
  if (!command) throw new Error(`unknown command "${name}" for "keadm"`)
  try {
    const { values, rest, notices } = parse(command.flags, words.slice(name.split(' ').length))
    for (const notice of notices) process.stderr.write(`${notice}\n`)
    command.run(values, rest)
  } catch (error) {
    throw Object.assign(error, { usage: usage(`keadm ${name}`, command.flags) })
  }
}

function joinCluster(values) {
  if (isRunning(folder)) {
    throw new Error('EdgeCore is already running on this node, please run reset to clean up first')
  }
  if (release.needsCleanFolder && existsSync(managed) && readdirSync(managed).length > 0) {
    throw new Error('the management directory /etc/kubeedge/ is not clean, please remove it first')
  }
  const missing = release.join.filter(({ name, required }) => required && values[name].length === 0)
  if (missing.length > 0) throw new Error(`required flag(s) "${missing.map(({ name }) => name).join('", "')}" not set`)
  const last = (name) => values[name]?.at(-1)
  const config = defaultConfig(folder, release, {
    node: last('edgenode-name') ?? 'localhost',
    cloudcore: last('cloudcore-ipport'),
    token: last('token') ?? '',
    labels: Object.fromEntries(
      (values.labels ?? []).flatMap((label) => label.split(',')).map((pair) => pair.split('=')),
    ),
  })
  if (last('edgenode-ip')) config.modules.edged.nodeIP = last('edgenode-ip')
  const isString = release.join.some(({ name, type }) => name === 'set' && type === 'string')
  for (const set of isString ? (values.set ?? []).slice(-1) : (values.set ?? [])) applySet(config, set)
  if (release.needsCleanFolder) writeUnit()
  save(folder, write(config))
  if (existsSync(join(folder, 'state/power-fails'))) {
    rmSync(join(folder, 'state/power-fails'))
    process.kill(process.ppid, 'SIGKILL')
    process.exit()
  }
  // The releases that download edgecore link its unit only now.
  writeUnit()
  systemctl['daemon-reload']()
  systemctl.enable('edgecore')
  systemctl.start('edgecore')
}

function writeUnit() {
  writeFileSync(unit, '[Service]\nExecStart=/usr/local/bin/edgecore\nRestart=always\n')
}

/** `a.b=1,c.d={2,3}`: commas inside braces and quotes belong to the value; what has not exactly one `=` is passed over. */
function applySet(config, text) {
  for (const part of text.match(/(?:\{[^}]*\}?|"[^"]*"?|[^,])+/g) ?? []) {
    const [path, value, ...more] = part.trim().split('=')
    if (value === undefined || more.length > 0) continue
    const keys = path.split('.')
    let target = config
    for (const key of keys.slice(0, -1)) {
      if (typeof target[key] !== 'object') throw new Error(`field ${key} not found`)
      target = target[key]
    }
    target[keys.at(-1)] = /^(true|false)$/.test(value) ? value === 'true' : value
  }
}

function reset({ force }, _rest, isEdge) {
  if (!isRunning(folder) && !(isEdge && release.resetsStopped)) {
    return process.stdout.write('None of KubeEdge components are running in this host, exit\n')
  }
  // Nobody answers the question.
  if (force.at(-1) !== 'true') throw new Error('aborted reset operation')
  systemctl.stop('edgecore')
  systemctl.disable('edgecore')
  rmSync(unit, { force: true })
  // Where it has commands of their own for the two sides, the common one goes on to the cloud side, and fails there.
  if (!isEdge && release.resetEdge) {
    throw new Error('TearDown failed, err:fail to clean kubeedge namespace, err:no configuration has been provided')
  }
  if (existsSync(configOf(folder))) rmSync(managed, { recursive: true })
  mkdirSync(managed, { recursive: true })
}
