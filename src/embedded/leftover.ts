import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { EmbeddedError, errorCode } from './errors.js'
import { isPostmasterOf, pidInUse } from './processes.js'

/** How long a fast shutdown may take (it writes a checkpoint), and an immediate one after it (the next start recovers). */
const FAST_MS = 30_000
const IMMEDIATE_MS = 10_000

/**
 * Makes the folder free for a new postmaster: one that outlived its service is stopped, never joined by a second one, and a
 * pid file that names something else is put right. To be called under the data folder's lock.
 */
export async function stopLeftover(folder: string, progress: (line: string) => void): Promise<void> {
  const file = join(folder, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  })
  const pid = Number.parseInt(text, 10)
  if (!(pid > 0)) return
  if (isPostmasterOf(pid, folder)) {
    progress('stopping the database that an earlier run left behind')
    await stopPostmaster(pid, folder)
    return
  }
  if (pidInUse(pid)) await disownPidFile(file, text)
}

/** Stops a postmaster that is no child of ours: fast shutdown, and if that hangs, the immediate one. */
async function stopPostmaster(pid: number, folder: string): Promise<void> {
  for (const [signal, limit] of [['SIGINT', FAST_MS] as const, ['SIGQUIT', IMMEDIATE_MS] as const]) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (errorCode(error) === 'ESRCH') return
      throw new EmbeddedError(
        `The database in ${folder} is still run by process ${pid}, which belongs to another user.\n` +
          `Stop it as that user (kill -INT ${pid}), or give this service its own folder with EDGE_IPAM_DATA_DIR.`,
      )
    }
    const deadline = Date.now() + limit
    while (Date.now() < deadline) {
      if (!isPostmasterOf(pid, folder)) return
      await pause(20)
    }
  }
  throw new EmbeddedError(
    `The database in ${folder} is still run by process ${pid}, which does not stop.\nEnd it (kill -QUIT ${pid}) and start again.`,
  )
}

/**
 * The pid in the file now belongs to a foreign process or to a zombie, and PostgreSQL would take that for a live server.
 * Only the pid is replaced: the rest of the file lets PostgreSQL see whether old backends still hold its shared memory.
 */
async function disownPidFile(file: string, text: string): Promise<void> {
  const noProcess = 2 ** 31 - 2
  const draft = `${file}.new`
  await writeFile(draft, text.replace(/^\d+/, String(noProcess)), { mode: 0o600 })
  await rename(draft, file)
}
