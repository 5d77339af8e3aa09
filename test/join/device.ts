import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { readScript } from '../../src/integrations/join/script.js'
import { type KeadmKind, writeKeadm } from './keadm.js'

const scriptFolder = mkdtempSync(join(tmpdir(), 'join-script-'))
process.on('exit', () => rmSync(scriptFolder, { recursive: true, force: true }))

/** The script as a device gets it. */
export const SCRIPT = join(scriptFolder, 'join.sh')
writeFileSync(SCRIPT, await readScript())

/** A token that is in no service, of the form that services give. */
export const TOKEN = 'join_0123456789abcdefghijklmnopqrstuvwxyzABCDEF'

export type Shell = 'dash' | 'busybox' | 'bash'
export type Client = 'curl' | 'wget' | 'busybox wget' | 'none'

export const SHELLS: Shell[] = ['dash', 'busybox', 'bash']
export const CLIENTS = ['curl', 'wget'] as const

const TOOLS = (
  'awk cat chmod cp cut date env grep id mkdir mktemp mv nohup od openssl readlink rm rmdir sed sha256sum sleep sort ' +
  'timeout tr uname'
).split(' ')
const NETWORK_TOOLS = ['ip', 'route', 'ifconfig']

/** The full path of a program, or null where this machine has none. */
export function find(program: string): string | null {
  for (const folder of [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']) {
    if (folder && existsSync(join(folder, program))) return join(folder, program)
  }
  return null
}

/** What is missing here to run the script in this shell with this client; null if nothing is. */
export function missing(...programs: string[]): string | null {
  const absent = programs.filter((program) => find(program) === null)
  return absent.length > 0 ? `not on this machine: ${absent.join(', ')}` : null
}

export interface Result {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: Record<string, string>
  /** This text comes on stdin as the script, as from `curl | sh -s --`. */
  piped?: string
  /** Options of the shell itself. */
  shellOptions?: string[]
  /** Called with the process id as soon as there is one. */
  onStart?: (pid: number) => void
}

export interface DeviceOptions {
  shell?: Shell
  client?: Client
  keadm?: KeadmKind | 'missing'
  keadmExit?: number
  /** Programs that stand in for others in PATH: name → shell text. */
  stubs?: Record<string, string>
  /** Names of programs that this device lacks. */
  without?: string[]
}

/**
 * A folder that stands for an edge device: a PATH with nothing but the tools it should have (busybox's own, where the shell is
 * busybox), the HTTP client, and a stand-in keadm. Its folder
 * is the root of its file system. No edgecore.yaml until a test writes one at `config`.
 */
export function makeDevice(t: Test, options: DeviceOptions = {}) {
  const { shell = 'dash', client = 'curl', keadm = 'set', stubs = {}, without = [] } = options
  const folder = mkdtempSync(join(tmpdir(), 'join-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const bin = join(folder, 'bin')
  const temporary = join(folder, 'tmp')
  execFileSync('mkdir', [bin, temporary])
  const config = join(folder, 'etc/kubeedge/config/edgecore.yaml')
  const record = join(folder, 'keadm.args')
  const applets = shell === 'busybox' ? execFileSync('busybox', ['--list'], { encoding: 'utf8' }).split('\n') : []

  for (const tool of [...TOOLS, ...NETWORK_TOOLS]) {
    if (without.includes(tool) || tool in stubs) continue
    const path = applets.includes(tool) ? find('busybox') : find(tool)
    if (path) symlinkSync(path, join(bin, tool))
  }
  for (const [name, text] of Object.entries(stubs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 })
  if (client === 'curl' || client === 'wget') symlinkSync(find(client)!, join(bin, client))
  if (client === 'busybox wget') symlinkSync(find('busybox')!, join(bin, 'wget'))
  if (keadm !== 'missing') writeKeadm(join(bin, 'keadm'), keadm, record, options.keadmExit)

  /** Runs the script to its end. */
  function run(args: string[], { env = {}, piped, shellOptions = [], onStart }: RunOptions = {}): Promise<Result> {
    const argv = [...(shell === 'busybox' ? ['busybox', 'sh'] : [shell]), ...shellOptions]
    argv.push(...(piped === undefined ? [SCRIPT] : ['-s', '--']), ...args)
    const child = spawn(find(argv[0]!)!, argv.slice(1), {
      cwd: folder,
      env: { PATH: bin, HOME: folder, TMPDIR: temporary, EDGE_IPAM_ROOT: folder, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    onStart?.(child.pid!)
    const result: Result = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text) => {
      result.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      result.stderr += text
    })
    child.stdin.on('error', () => {})
    child.stdin.end(piped ?? '')
    const guard = setTimeout(() => child.kill('SIGKILL'), 60_000)
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        clearTimeout(guard)
        resolve({ ...result, code })
      })
    })
  }

  /** Waits until a file is in the device's folder. */
  async function waitForFile(name: string) {
    const end = Date.now() + 30_000
    while (!existsSync(join(folder, name))) {
      if (Date.now() > end) throw new Error(`no file ${name} after 30 s`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  return {
    folder,
    bin,
    temporary,
    config,
    run,
    waitForFile,
    /** A pipe with a name: who reads it waits until the test opens it. */
    makeFifo(name: string) {
      execFileSync('mkfifo', [join(folder, name)])
      return { open: () => closeSync(openSync(join(folder, name), 'w')) }
    },
    /** An edgecore.yaml as keadm writes it, with this address and name. */
    writeConfig(address: string, name = 'edge-1') {
      mkdirSync(dirname(config), { recursive: true })
      writeFileSync(
        config,
        `modules:\n  edgeHub:\n    enable: true\n  edged:\n    hostnameOverride: ${name}\n    nodeIP: ${address}\n`,
      )
    },
    /** Seconds of every pause so far; for a stand-in \`sleep\` that notes them in \`$HOME/pauses\`. */
    pauses: (): number[] => readFileSync(join(folder, 'pauses'), 'utf8').trimEnd().split('\n').map(Number),
    /** The arguments of every keadm join so far. */
    joins: (): string[][] => {
      if (!existsSync(record)) return []
      const calls = readFileSync(record, 'utf8').split('----\n').slice(0, -1)
      return calls.map((call) => call.split('\n').slice(0, -1))
    },
    /** The environment of the last keadm join. */
    keadmEnvironment: () => readFileSync(`${record}.env`, 'utf8'),
  }
}
