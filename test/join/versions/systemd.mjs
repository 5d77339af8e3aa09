// A stand-in for systemd, for the stand-ins systemctl and keadm. Units and drop-ins are looked for below
// FOLDER, where the device has its /etc and /run. Like systemd it works with what it read at the last daemon-reload.

import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isRunning, noteStart, start, stop } from './edgecore.mjs'

/** What systemctl does for this device; `release` says which edgecore it starts. */
export function systemd(folder, release) {
  const loaded = join(folder, 'state/loaded')
  const enabled = join(folder, 'state/enabled')
  return {
    'daemon-reload': load,
    enable: (unit) => writeFileSync(join(enabled, unit), ''),
    disable: (unit) => rmSync(join(enabled, unit), { force: true }),
    start: (unit) => isRunning(folder) || startUnit(unit),
    restart: startUnit,
    stop: (unit) => (unit === 'edgecore' ? stop(folder) : run(lines(unit, 'ExecStop'))),
    boot,
  }

  /** Keeps the units and drop-ins as they are now. */
  function load() {
    rmSync(loaded, { recursive: true, force: true })
    for (const root of ['etc', 'run']) {
      cpSync(join(folder, root, 'systemd/system'), join(loaded, root), { recursive: true })
    }
  }

  /** The values of a key in a unit and its drop-ins. */
  function lines(unit, key) {
    if (!existsSync(loaded)) load()
    const texts = ['etc', 'run'].flatMap((root) => {
      const file = join(loaded, root, `${unit}.service`)
      const dropIns = existsSync(`${file}.d`) ? readdirSync(`${file}.d`).filter((name) => name.endsWith('.conf')) : []
      return [...(existsSync(file) ? [file] : []), ...dropIns.sort().map((name) => join(`${file}.d`, name))]
    })
    return texts
      .flatMap((file) => readFileSync(file, 'utf8').replace(/\\\n/g, ' ').split('\n'))
      .filter((line) => line.startsWith(`${key}=`))
      .map((line) => line.slice(key.length + 1))
  }

  function startUnit(name) {
    if (!existsSync(join(folder, 'etc/systemd/system', `${name}.service`))) {
      process.stderr.write(`Failed to start ${name}.service: Unit ${name}.service not found.\n`)
      process.exitCode = 5
      return
    }
    const failure = run(lines(name, 'ExecStartPre'))
    if (name === 'edgecore') {
      stop(folder)
      if (failure) noteStart(folder, { failed: failure })
      else start(folder, release)
    } else if (failure || run(lines(name, 'ExecStart'))) process.exitCode = 1
  }

  /** Runs command lines; comes back with what failed, if something did. */
  function run(commands) {
    for (const command of commands) {
      const [, prefix, rest] = command.match(/^([-@:+!]*)(.*)$/)
      const [file, ...args] = split(rest)
      if (!file?.startsWith('/')) return `${command}: not an absolute path`
      const bin = join(folder, 'bin')
      // A unit names ip by its path. No test may touch the interfaces of this machine.
      const program = /\/ip$/.test(file) ? join(bin, 'ip') : file
      const { status, stderr } = spawnSync(program, args, { env: { PATH: `${bin}:/usr/bin:/bin` }, encoding: 'utf8' })
      appendFileSync(join(folder, 'state/systemd'), `${status}: ${command}\n${stderr}`)
      if (status !== 0 && !prefix.includes('-')) return `${command}: ${status}`
    }
  }

  function boot() {
    stop(folder)
    rmSync(join(folder, 'run'), { recursive: true })
    mkdirSync(join(folder, 'run/systemd/system'), { recursive: true })
    for (const name of readdirSync(join(folder, 'state/net'))) {
      if (name !== 'eth0') rmSync(join(folder, 'state/net', name), { recursive: true })
    }
    load()
    for (const unit of readdirSync(enabled).sort((a) => (a === 'edgecore' ? 1 : -1))) startUnit(unit)
  }
}

/** Splits a command line into words as systemd does: quotes, `$$` and `%%`. Variables are empty. */
function split(text) {
  const words = text.match(/(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'])+/g) ?? []
  return words.map((word) =>
    word
      .replace(/"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/g, (_, double, single) => double ?? single)
      .replace(/\\(.)/g, (_, letter) => ({ n: '\n', t: '\t', s: ' ' })[letter] ?? letter)
      .replace(/\$\$|\$\{\w*\}/g, (found) => (found === '$$' ? '$' : ''))
      .replaceAll('%%', '%'),
  )
}

// As a program: systemd.mjs FOLDER VERB UNIT
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder, verb, unit] = process.argv.slice(2)
  systemd(folder, JSON.parse(readFileSync(join(folder, 'release.json'), 'utf8')))[verb](unit)
}
