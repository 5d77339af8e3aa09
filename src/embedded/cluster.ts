import { randomBytes } from 'node:crypto'
import { chown, type FileHandle, lchown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Binaries } from './binaries.js'
import { EmbeddedError, errorCode } from './errors.js'
import { type RunAs, runProgram } from './run-as.js'

/** Written into the finished folder as the last thing before it gets its name: with it, the folder is never made again. */
const MARKER = 'edge-ipam.json'

/** PostgreSQL's own data folder inside the data folder. */
export function clusterFolder(dataDir: string): string {
  return join(dataDir, 'postgres')
}

export interface ClusterOptions {
  dataDir: string
  passwordFile: string
  binaries: Binaries
  runAs: RunAs
  /** Wait until the new files are on the disk; only a throw-away server may do without. */
  sync: boolean
  progress: (line: string) => void
}

/**
 * Makes the database's folder when there is none, and checks the one that is there.
 * Throws EmbeddedError when it belongs to another PostgreSQL version or was not made by this program.
 */
export async function openCluster(options: ClusterOptions): Promise<void> {
  const folder = clusterFolder(options.dataDir)
  await sweepPartial(options.dataDir)
  if (await isFinished(folder)) {
    await checkVersion(folder, options.runAs.major)
    await handOver(folder, options.runAs)
    return
  }
  await moveAside(folder)
  options.progress('making the embedded database')
  await initialise(options, folder)
}

async function initialise({ dataDir, passwordFile, binaries, runAs, sync }: ClusterOptions, folder: string) {
  // Under a name of its own: an initdb that outlived its killed parent may still be writing into the last one.
  const partial = join(dataDir, `postgres.partial-${randomBytes(6).toString('hex')}`)
  await mkdir(partial, { mode: 0o700 })
  if (runAs.owner) {
    await chown(partial, runAs.owner.uid, runAs.owner.gid)
    await chown(passwordFile, runAs.owner.uid, runAs.owner.gid)
  }
  const { code, output } = await runProgram(binaries, runAs, binaries.initdb, [
    `--pgdata=${partial}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    // The same rules for letters everywhere, whatever the machine's C library thinks of them.
    ...(runAs.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
    ...(sync ? [] : ['--no-sync']),
  ])
  if (code !== 0) {
    const reason = output.split('\n').find((line) => /error|fatal/i.test(line)) ?? output.trim().split('\n').at(-1)
    throw new EmbeddedError(
      `The embedded database could not be made in ${dataDir}: ${reason || `initdb ended with ${code}`}\n` +
        'Put that right, name another folder with EDGE_IPAM_DATA_DIR, or use a database of your own with DATABASE_URL.',
    )
  }
  const marker = join(partial, MARKER)
  await writeDurably(marker, `${JSON.stringify({ made: 'edge-ipam', postgres: runAs.major })}\n`)
  await rename(partial, folder)
  if (sync) await syncFolder(dataDir)
}

async function checkVersion(folder: string, major: number): Promise<void> {
  const found = (await readFile(join(folder, 'PG_VERSION'), 'utf8')).trim()
  if (found === String(major)) return
  throw new EmbeddedError(
    `${folder} was made by PostgreSQL ${found}; this release brings PostgreSQL ${major}, which cannot read it.\n` +
      `Start the release that made it and move the data with pg_dump, or serve it with PostgreSQL ${found} and set DATABASE_URL.`,
  )
}

/** Data that root made in a user namespace, and now runs as another user: its files change their owner once. */
async function handOver(folder: string, { owner }: RunAs): Promise<void> {
  if (!owner || (await stat(folder)).uid === owner.uid) return
  for (const entry of await readdir(folder, { recursive: true })) {
    await lchown(join(folder, entry), owner.uid, owner.gid)
  }
  await chown(folder, owner.uid, owner.gid)
}

async function isFinished(folder: string): Promise<boolean> {
  return readable(join(folder, MARKER))
}

/** Without the marker nothing here was ever answered from; still, it is moved and not deleted. */
async function moveAside(folder: string): Promise<void> {
  if (!(await readable(folder))) return
  if (await readable(join(folder, 'global', 'pg_control'))) {
    throw new EmbeddedError(
      `${folder} holds a PostgreSQL database that this program did not make.\n` +
        'Move it away, name another folder with EDGE_IPAM_DATA_DIR, or serve it yourself and set DATABASE_URL.',
    )
  }
  await rename(folder, `${folder}.unfinished-${randomBytes(6).toString('hex')}`)
}

async function sweepPartial(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith('postgres.partial-')) continue
    // May fail while an orphaned initdb still writes; the next start takes it.
    await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
  }
}

async function readable(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error) => {
      if (['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) return false
      throw error
    },
  )
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, 'r')
    await handle.sync()
  } catch {
    // Not every file system lets a folder be synced.
  } finally {
    await handle?.close()
  }
}
