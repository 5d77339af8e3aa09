import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync, utimesSync, writeSync } from 'node:fs'
import { link, mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { errorCode } from './errors.js'
import { giveToOwnerOf } from './ownership.js'
import { processIdentity, processSpace } from './processes.js'

// How the lock works. Node has no flock, and a lock file that is removed when its owner looks dead can be removed twice:
// the second time it belongs to somebody who just took it. So no live lock file is ever removed or replaced.
//
//   locks/7   {"pid":…,"start":…}     who took turn 7: made whole, by link(), which fails when the name exists
//             {"url":"http://…"}      appended once it listens
//             {"released":true}       appended when it is done
//
// The highest number is the lock. It is free when its owner released it or is dead; then the next number is up for grabs
// and link() lets exactly one process have it. Who got a number looks once more whether a higher one exists, because it may
// have looked at the folder long ago. Old numbers are swept a few turns later, so that a slow reader never sees a gap.

const KEEP_TURNS = 8
/** Only for an owner in another pid namespace (a container on the same folder), whose process cannot be looked up. */
const HEARTBEAT_MS = 5_000
const HEARTBEAT_LOST_MS = 16_000

interface Turn {
  pid: number
  start: string
  boot: string
  namespace: string
  url?: string
  released?: boolean
}

export interface LockHolder {
  pid: number
  /** Where the holder listens; missing while it is still starting. */
  url?: string
}

export interface FolderLock {
  announce(url: string): void
  release(): void
}

/** Takes the lock kept in `folder` for this process, or says who has it. Freed by the death of its owner. */
export async function lockFolder(folder: string): Promise<{ lock: FolderLock } | { holder: LockHolder }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  giveToOwnerOf(dirname(folder), folder)
  for (;;) {
    const top = await highestTurn(folder)
    const turn = top === 0 ? undefined : await readTurn(join(folder, String(top)))
    if (turn && (await isHeld(turn, join(folder, String(top))))) {
      return { holder: turn.url === undefined ? { pid: turn.pid } : { pid: turn.pid, url: turn.url } }
    }
    const mine = top + 1
    if (await takeTurn(folder, mine)) return { lock: held(join(folder, String(mine))) }
  }
}

async function takeTurn(folder: string, number: number): Promise<boolean> {
  const turn: Turn = { pid: process.pid, start: processIdentity(process.pid) ?? '', ...processSpace() }
  const draft = join(folder, `draft-${randomBytes(8).toString('hex')}`)
  const file = join(folder, String(number))
  await writeFile(draft, `${JSON.stringify(turn)}\n`, { mode: 0o644, flag: 'wx' })
  try {
    await link(draft, file)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(draft)
  }
  if ((await highestTurn(folder)) !== number) {
    await unlink(file)
    return false
  }
  for (const old of await turns(folder)) {
    if (old < number - KEEP_TURNS) await unlink(join(folder, String(old))).catch(() => {})
  }
  return true
}

function held(file: string): FolderLock {
  const heartbeat = setInterval(() => {
    try {
      utimesSync(file, new Date(), new Date())
    } catch {
      // The folder is gone; whoever removed it has nothing left to protect.
    }
  }, HEARTBEAT_MS).unref()
  let released = false
  return {
    announce: (url) => addLine(file, { url }),
    release: () => {
      if (released) return
      released = true
      clearInterval(heartbeat)
      addLine(file, { released: true })
    },
  }
}

function addLine(file: string, line: Partial<Turn>): void {
  let fd: number
  try {
    // Never creates the file: it is gone when the whole folder was removed under the service.
    fd = openSync(file, constants.O_WRONLY | constants.O_APPEND)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  writeSync(fd, `${JSON.stringify(line)}\n`)
  closeSync(fd)
}

async function isHeld(turn: Turn, file: string): Promise<boolean> {
  if (turn.released) return false
  const here = processSpace()
  if (turn.boot !== here.boot) return false
  if (turn.namespace === here.namespace) return processIdentity(turn.pid) === turn.start
  const seen = await modified(file)
  for (;;) {
    const now = await modified(file)
    if (now !== seen) return true
    if (Date.now() - now > HEARTBEAT_LOST_MS) return false
    await pause(200)
  }
}

async function modified(file: string): Promise<number> {
  return (await stat(file)).mtimeMs
}

/** Undefined for a file that no process can have finished: a system crash came before its contents reached the disk. */
async function readTurn(file: string): Promise<Turn | undefined> {
  const turn: Partial<Turn> = {}
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    try {
      Object.assign(turn, JSON.parse(line))
    } catch {
      // A line cut short; the ones before it count.
    }
  }
  return turn.pid === undefined ? undefined : (turn as Turn)
}

async function turns(folder: string): Promise<number[]> {
  return (await readdir(folder)).filter((name) => /^[1-9]\d*$/.test(name)).map(Number)
}

async function highestTurn(folder: string): Promise<number> {
  return Math.max(0, ...(await turns(folder)))
}
