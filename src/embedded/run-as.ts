import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import type { Binaries } from './binaries.js'
import { EmbeddedError } from './errors.js'

// PostgreSQL refuses to run as root, and root's folders refuse everybody else. For root, in this order:
//
//   the data belongs to another user   run as that user
//   `unshare -U`                       a user namespace without a mapping: PostgreSQL sees an unprivileged uid, while for the
//                                      file system it is still root, without root's capabilities
//   `setpriv`, uid 65534               where user namespaces are refused (most containers); it keeps the one capability that
//                                      lets it walk through folders of mode 700
//   plain uid 65534                    without setpriv; works when the paths can be entered by everybody

const NOBODY = 65_534

/** The user that PostgreSQL's programs run as. */
export interface RunAs {
  /** Words put before the program's own. */
  prefix: string[]
  /** Set when the child changes its user by itself at spawn. */
  spawnUid?: { uid: number; gid: number }
  /** Who must own the data; undefined when that is whoever runs this process. */
  owner?: { uid: number; gid: number }
  /** PostgreSQL's major version, e.g. 18. */
  major: number
}

export interface RootTools {
  unshare: string
  setpriv: string
}

/** Chooses how to run; `dataOwner` is the owner of the existing data, or of the folder that will hold it. */
export async function chooseRunAs(
  binaries: Binaries,
  dataDir: string,
  dataOwner: { uid: number; gid: number },
  tools: RootTools = { unshare: 'unshare', setpriv: 'setpriv' },
): Promise<RunAs> {
  const failures: string[] = []
  for (const candidate of candidates(dataOwner, tools)) {
    // Unlike --version, this also fails where a program may run but not look at its own path.
    const { code, output } = await runProgram(binaries, candidate, binaries.initdb, ['--show', '-D', dataDir])
    const major = /^VERSION=(\d+)/m.exec(output)?.[1]
    if (code === 0 && major !== undefined) {
      // Without the capability the other user needs to walk through; the secrets inside have modes of their own.
      if (candidate.spawnUid) await chmod(dataDir, 0o711)
      return { ...candidate, major: Number(major) }
    }
    failures.push(output.trim().split('\n').at(-1) ?? '')
  }
  throw new EmbeddedError(
    `The embedded PostgreSQL does not run on this machine: ${failures.at(-1) || 'its program cannot be started'}\n` +
      `Set DATABASE_URL to use a PostgreSQL of your own${process.getuid?.() === 0 ? ', or start as an ordinary user: PostgreSQL refuses root' : ''}.`,
  )
}

function candidates(dataOwner: { uid: number; gid: number }, tools: RootTools): Omit<RunAs, 'major'>[] {
  if (process.getuid?.() !== 0) return [{ prefix: [] }]
  const namespace = { prefix: [tools.unshare, '-U', '--'] }
  const other = dataOwner.uid === 0 ? { uid: NOBODY, gid: NOBODY } : dataOwner
  const caps = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override']
  // access(2), with which PostgreSQL looks for its own program, ignores capabilities of other users without this bit.
  const keep = ['--securebits=+no_setuid_fixup']
  const user = [`--reuid=${other.uid}`, `--regid=${other.gid}`, '--clear-groups']
  const otherUser = [
    { prefix: [tools.setpriv, ...user, ...caps, ...keep, '--'], owner: other },
    { prefix: [tools.setpriv, ...user, ...caps, '--'], owner: other },
    { prefix: [], spawnUid: other, owner: other },
  ]
  return dataOwner.uid === 0 ? [namespace, ...otherUser] : otherUser
}

/** Starts one of PostgreSQL's programs in a session of its own: a Ctrl-C at the terminal is for the service, not for it. */
export function spawnProgram(
  binaries: Binaries,
  runAs: Omit<RunAs, 'major'>,
  program: string,
  args: string[],
  stdio: SpawnOptions['stdio'],
): ChildProcess {
  const [command, ...rest] = [...runAs.prefix, program, ...args]
  return spawn(command as string, rest, {
    ...runAs.spawnUid,
    stdio,
    detached: true,
    cwd: '/',
    // Nothing of this process's environment: it may hold secrets, and PG… variables would change the server.
    env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC', ...binaries.env },
  })
}

/** Runs one of PostgreSQL's programs to its end. A program that cannot be started has the code -1. */
export function runProgram(
  binaries: Binaries,
  runAs: Omit<RunAs, 'major'>,
  program: string,
  args: string[],
  input = '',
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawnProgram(binaries, runAs, program, args, ['pipe', 'pipe', 'pipe'])
    let output = ''
    const collect = (chunk: Buffer) => {
      output += chunk.toString('utf8')
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    child.once('error', (error) => resolve({ code: -1, output: error.message }))
    child.once('close', (code) => resolve({ code: code ?? -1, output }))
  })
}
