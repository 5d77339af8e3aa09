// A stand-in for systemd, for the stand-ins systemctl and keadm. Units and drop-ins are looked for below
// FOLDER, where the device has its /etc and /run. Like systemd it works with what it read at the last daemon-reload.

import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isRunning, noteStart, start, stop } from './edgecore.mjs'

/** What systemctl does for this device; `release` says which edgecore it starts. */
export function systemd(folder, release) {
  const roots = ['etc/systemd/system', 'run/systemd/system'].map((path) => join(folder, path))
  const loadedFile = join(folder, 'state/loaded')
  const enabledFile = join(folder, 'state/enabled')
  return {
    'daemon-reload': load,
    enable: (unit) => setEnabled(unit, true),
    disable: (unit) => setEnabled(unit, false),
    start: (unit) => isRunning(folder) || startUnit(unit),
    restart: startUnit,
    stop: (unit) => (unit === 'edgecore' ? stop(folder) : run(lines(unit, 'ExecStop'))),
    boot,
  }

  /** Every line of every unit file and drop-in, as a table from unit to lines. */
  function load() {
    const loaded = {}
    for (const root of roots.filter(existsSync)) {
      for (const name of readdirSync(root)) {
        const [, of] = name.match(/^(.*)\.service(?:\.d)?$/) ?? []
        if (!of) continue
        const files = name.endsWith('.d')
          ? readdirSync(join(root, name)).filter((file) => file.endsWith('.conf'))
          : ['']
        for (const file of files.sort()) {
          const text = readFileSync(join(root, name, file), 'utf8').replace(/\\\n/g, ' ')
          loaded[of] = [...(loaded[of] ?? []), ...text.split('\n')]
        }
      }
    }
    writeFileSync(loadedFile, JSON.stringify(loaded))
  }

  function lines(name, key) {
    if (!existsSync(loadedFile)) load()
    const all = JSON.parse(readFileSync(loadedFile, 'utf8'))[name] ?? []
    return all.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  }

  function startUnit(name) {
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

  function enabled() {
    return existsSync(enabledFile) ? readFileSync(enabledFile, 'utf8').split('\n').filter(Boolean) : []
  }

  function setEnabled(name, on) {
    writeFileSync(enabledFile, [...enabled().filter((other) => other !== name), ...(on ? [name] : [])].join('\n'))
  }

  function boot() {
    stop(folder)
    rmSync(join(folder, 'run'), { recursive: true })
    mkdirSync(join(folder, 'run/systemd/system'), { recursive: true })
    for (const name of readdirSync(join(folder, 'state/net'))) {
      if (name !== 'eth0') rmSync(join(folder, 'state/net', name), { recursive: true })
    }
    load()
    for (const name of enabled().sort((a) => (a === 'edgecore' ? 1 : -1))) startUnit(name)
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
