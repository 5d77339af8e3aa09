import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { root } from './prepare.mjs'

const handedOn = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * Runs Node with these arguments, its output on ours, and returns the exit code (128 + its number for a signal).
 * The child has a process group of its own: each signal reaches it and its children once, from a terminal or from `kill`.
 */
export function runNode(args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      detached: true,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    })
    const handOn = (signal) => {
      try {
        process.kill(-child.pid, signal)
      } catch {
        // Just ended.
      }
    }
    for (const signal of handedOn) process.on(signal, handOn)
    child.once('close', (code, signal) => {
      for (const name of handedOn) process.off(name, handOn)
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}
