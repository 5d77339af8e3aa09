// One install or build of a folder at a time, also when `npm start` and `npm test` are typed together.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Runs `work` while no other process does the same for this folder. The lock is a socket that one process listens on: it is
 * gone with the process, however that ends. On Linux the name is abstract, elsewhere a file in the folder for such things.
 */
export async function withPrepareLock(folder, say, work) {
  const name = `edge-ipam-${createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 32)}`
  const path = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), name)
  let told = false
  for (;;) {
    const server = await listen(path)
    if (server !== undefined) {
      try {
        return await work()
      } finally {
        for (const socket of server.waiting) socket.destroy()
        server.close()
      }
    }
    if (!told) say('Waiting: another process is installing or building here.')
    told = true
    if (!(await waitForHolder(path)) && !path.startsWith('\0')) await rm(path, { force: true })
  }
}

function listen(path) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.waiting.add(socket)
      socket.on('error', () => {})
      socket.unref()
    })
    server.waiting = new Set()
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen({ path }, () => resolve(server.unref()))
  })
}

/** Resolves when the holder closes the socket or dies; false when nobody was there to hold it. */
function waitForHolder(path) {
  return new Promise((resolve) => {
    let connected = false
    const socket = connect({ path })
    socket.once('connect', () => {
      connected = true
    })
    socket.on('error', () => {})
    socket.once('close', async () => {
      await pause(20)
      resolve(connected)
    })
    socket.resume()
  })
}

const record = (workshop) => join(workshop, 'running')

/** An `npm ci` outlives a `kill -9` of its parent and would go on writing beside the next one: so it is written down. */
export async function rememberChild(workshop, pid) {
  await writeFile(record(workshop), JSON.stringify({ pid, started: startOf(pid) }))
}

export async function forgetChild(workshop) {
  await rm(record(workshop), { force: true })
}

/** Ends what an earlier, killed run left at work. */
export async function endLeftoverChild(workshop) {
  const left = await readFile(record(workshop), 'utf8').then(JSON.parse, () => undefined)
  if (left === undefined) return
  while (left.started !== undefined && startOf(left.pid) === left.started) {
    process.kill(-left.pid, 'SIGKILL')
    await pause(50)
  }
  await forgetChild(workshop)
}

/** When this process started: with the pid it names it for good. Undefined when there is none, or only a zombie. */
function startOf(pid) {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' ? undefined : fields[19]
    }
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}
