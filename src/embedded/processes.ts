import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { errorCode } from './errors.js'

const hasProc = existsSync('/proc/self/stat')

/**
 * Names a running process so that no later process with the same pid is taken for it: its start time.
 * Returns undefined when nothing runs under that pid; a zombie counts as nothing, since it can hold no file and no lock.
 */
export function processIdentity(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  if (hasProc) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      // The command name may hold spaces and brackets; the fields that matter follow the last bracket.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
    } catch {
      return undefined
    }
  }
  try {
    const [state, ...started] = ps(pid, 'state=,lstart=').split(/\s+/)
    return state?.startsWith('Z') ? undefined : started.join(' ')
  } catch {
    return undefined
  }
}

/** Whether a signal to this pid would find any process at all, a zombie or another user's included. */
export function pidInUse(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}

/** Whether this running process is a postmaster that works in this folder. */
export function isPostmasterOf(pid: number, folder: string): boolean {
  if (processIdentity(pid) === undefined) return false
  if (!hasProc) {
    const command = ps(pid, 'command=')
    return command.includes('postgres') && command.includes(folder)
  }
  let args: string[]
  try {
    args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return false
  }
  if (!/(^|\/)(postgres|postmaster)\b/.test(args[0] ?? '')) return false
  try {
    // A postmaster's working directory is its data folder: right even when the folder was renamed under it.
    const cwd = statSync(`/proc/${pid}/cwd`)
    const data = statSync(folder)
    return cwd.ino === data.ino && cwd.dev === data.dev
  } catch {
    return args.includes(folder)
  }
}

/** The running system and the pid namespace: a pid says nothing outside of the two. Empty strings where they have no name. */
export function processSpace(): { boot: string; namespace: string } {
  return {
    boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()),
    namespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
  }
}

function attempt(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

function ps(pid: number, columns: string): string {
  return execFileSync('ps', ['-o', columns, '-p', String(pid)], {
    encoding: 'utf8',
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}
