import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { EmbeddedError, errorCode, explainFolderError } from './errors.js'
import { lockFolder } from './folder-lock.js'
import { giveToOwnerOf } from './ownership.js'

/** The folder that holds the embedded database and the generated secrets; this process is the only service on it. */
export interface DataDir {
  /** Absolute. */
  readonly path: string
  readonly adminTokenFile: string
  /** Tells whoever tries to start on the same folder where this service listens. */
  announce(where: { url: string }): void
  /** The administrator's token: 43 characters that hold 256 random bits, made at the first call. */
  adminToken(): string
  /** Lets the next service have the folder. The death of the process does the same. */
  close(): void
}

/**
 * Makes the folder (mode 700) and takes it for this process.
 * Throws EmbeddedError when it cannot be written, or when a running service has it: that one's pid and URL are in the message.
 */
export async function openDataDir(dir: string): Promise<DataDir> {
  const path = resolve(dir)
  const taken = await prepareFolder(path)
    .then(() => lockFolder(join(path, 'locks')))
    .catch((error) => {
      throw explainFolderError(path, error)
    })
  if ('holder' in taken) {
    const { pid, url } = taken.holder
    throw new EmbeddedError(
      `Another service uses the data folder ${path}: pid ${pid}, ${url ?? 'still starting'}.\n` +
        'Stop it first, or give this one its own folder with EDGE_IPAM_DATA_DIR.',
    )
  }
  const adminTokenFile = join(path, 'admin-token')
  return {
    path,
    adminTokenFile,
    announce: ({ url }) => taken.lock.announce(url),
    adminToken: () => readOrCreateSecret(path, adminTokenFile),
    close: () => taken.lock.release(),
  }
}

/**
 * Makes a folder and those above it. Level by level: Node's own recursive way never ends where the kernel says ENOENT
 * for a folder that is there, as /proc does.
 * @returns false: it was there already
 */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return false
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  await makeFolder(dirname(path))
  await mkdir(path, { mode: 0o700 })
  return true
}

async function prepareFolder(path: string): Promise<void> {
  if (await makeFolder(path)) return
  // A folder that holds other people's things (/tmp, a home folder) keeps its mode: closing it would harm them.
  const entries = await readdir(path)
  if (entries.length > 0 && !entries.includes('locks')) return
  await chmod(path, 0o700).catch((error) => {
    if (errorCode(error) !== 'EPERM') throw error
  })
}

/**
 * A secret of 256 random bits, kept in a file that only its owner can read. Written aside and renamed, so that the file is
 * whole or not there. Must be called under the folder's lock. Throws EmbeddedError when the file holds less than 32 characters.
 */
export function readOrCreateSecret(folder: string, file: string): string {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    if (secret.length >= 32) return secret
    throw new EmbeddedError(
      `${file} holds no usable secret (at least 32 characters).\nRemove the file to have a new one made.`,
    )
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw explainFolderError(folder, error)
  }
  const secret = randomBytes(32).toString('base64url')
  const draft = `${file}.new`
  try {
    rmSync(draft, { force: true })
    const fd = openSync(draft, 'wx', 0o600)
    try {
      writeFileSync(fd, `${secret}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    giveToOwnerOf(folder, draft)
    renameSync(draft, file)
  } catch (error) {
    throw explainFolderError(folder, error)
  }
  return secret
}
