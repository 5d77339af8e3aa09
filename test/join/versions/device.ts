import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { makeDevice, type RunOptions, type Shell } from '../device.js'
import type { Release } from './release.js'
import { ip, keadm, systemctl } from './system.js'
import { tells } from './tells.js'

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** A call of keadm: its words, its exit code and the environment it saw (values only). */
export interface KeadmCall {
  words: string[]
  code: number
  environment: string
}

/** A start of edgecore: the node's name and the address it reports (null: none), or why it ended. */
export interface EdgecoreStart {
  node?: string
  reports?: string | null
  error?: string
  failed?: string
}

/** The address of this device's one real interface. */
export const HOST_ADDRESS = '192.168.1.10'

/**
 * A device with the keadm of one release, an edgecore, systemd and one interface with a default route: stand-ins, which do and
 * refuse what the real ones do, and keep what they were asked.
 */
export function makeEdgeDevice(t: Test, release: Release, shell: Shell = 'dash') {
  const node = process.execPath
  const without = ['ip', 'route', 'ifconfig', 'systemctl', 'pidof']
  // Pauses are of no use here: a stand-in has done what it does when it ends.
  const { folder, bin, run } = makeDevice(t, { shell, keadm: 'missing', without, stubs: { sleep: 'exit 0\n' } })
  const state = join(folder, 'state')
  const config = join(folder, 'etc/kubeedge/config/edgecore.yaml')
  for (const path of ['state/net/eth0', 'state/enabled', 'run/systemd/system', 'etc/systemd/system']) {
    mkdirSync(join(folder, path), { recursive: true })
  }
  writeFileSync(join(state, 'net/eth0/up'), '')
  writeFileSync(join(state, 'net/eth0/addresses'), `${HOST_ADDRESS}/24\n`)
  writeFileSync(join(folder, 'release.json'), JSON.stringify(release))
  const programs = {
    keadm: keadm(folder, node, program('keadm.mjs'), tells(release)),
    systemctl: systemctl(folder, node, program('systemd.mjs')),
    ip: ip(folder),
  }
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 })
  }

  const linesOf = (name: string): string[] => {
    const path = join(state, name)
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []
  }
  const keadmCalls = () => linesOf('keadm').map((line): KeadmCall => JSON.parse(line))

  return {
    /** Runs the script on this device. */
    run: (args: string[], options: RunOptions = {}) =>
      run(args, { ...options, env: { EDGE_IPAM_ROOT: folder, ...options.env } }),
    /** Calls keadm as somebody does who knows nothing of the script. */
    keadm: (...words: string[]) => void execFileSync(join(bin, 'keadm'), words, { stdio: 'ignore' }),
    systemctl: (...words: string[]) => void execFileSync(join(bin, 'systemctl'), words, { stdio: 'ignore' }),
    keadmCalls,
    /** The calls of `keadm join` that were more than a question. */
    joins: () => keadmCalls().filter(({ words }) => words[0] === 'join' && !words.includes('--help')),
    /** Every start of edgecore so far. */
    starts: () => linesOf('edgecore').map((line): EdgecoreStart => JSON.parse(line)),
    isRunning: () => existsSync(join(state, 'running')),
    /** What systemctl and ip were asked for, one line a call. */
    asked: (name: 'systemctl' | 'ip') => linesOf(name),
    /** Lets the next keadm join end, with who called it, when it has written edgecore.yaml and not started edgecore. */
    letPowerFail: () => writeFileSync(join(state, 'power-fails'), ''),
    /** Loses what a reboot loses (interfaces, /run), and starts what is enabled. */
    reboot: () => void execFileSync(node, [program('systemd.mjs'), folder, 'boot']),
    /** The units that come up at a boot. */
    enabled: () => readdirSync(join(state, 'enabled')),
    hasInterface: (name: string) => existsSync(join(state, 'net', name)),
    /** The configuration as it is; null where there is none. */
    readConfig: () => (existsSync(config) ? readFileSync(config, 'utf8') : null),
    writeConfig: (text: string) => writeFileSync(config, text),
  }
}
