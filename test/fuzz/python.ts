import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** There is no Python that will do; the message says what to install. */
export class NoPython extends Error {}

const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url))
const cache = fileURLToPath(new URL('../../node_modules/.cache/edge-ipam-fuzz/', import.meta.url))

/**
 * Installs schemathesis as it is pinned, unless that was done before, and returns the program's path.
 * @throws NoPython
 */
export async function installSchemathesis(progress: (line: string) => void): Promise<string> {
  const python = await pythonVersion()
  const stamp = createHash('sha256')
    .update(python)
    .update(await readFile(requirements))
    .digest('hex')
  const folder = join(cache, 'venv')
  const program = join(folder, 'bin', 'schemathesis')
  const done = join(cache, 'stamp')
  if ((await readFile(done, 'utf8').catch(() => '')) === stamp) return program
  await rm(cache, { recursive: true, force: true })
  await mkdir(cache, { recursive: true })
  progress(`Installing schemathesis for Python ${python}.`)
  const venv = await output('python3', ['-m', 'venv', folder])
  if (venv.code !== 0) {
    throw new NoPython(`python3 -m venv does not work: ${venv.text.trim()}\nOn Debian: apt-get install python3-venv`)
  }
  const pip = await output(join(folder, 'bin', 'python'), [
    ...['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '--quiet', '--requirement', requirements],
  ])
  if (pip.code !== 0) throw new NoPython(`pip cannot install ${requirements}:\n${pip.text.trim()}`)
  await writeFile(done, stamp)
  return program
}

async function pythonVersion(): Promise<string> {
  const { code, text } = await output('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'])
  const [, minor] = /^3\.(\d+)\s*$/.exec(text) ?? []
  if (code !== 0 || Number(minor) < 11) {
    throw new NoPython(
      `Python 3.11 or newer is needed, as python3, with venv; here it is ${code === 0 ? text.trim() : 'not found'}.\n` +
        'On Debian: apt-get install python3 python3-venv',
    )
  }
  return text.trim()
}

async function output(command: string, args: string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
  try {
    const [code] = await once(child, 'close')
    return { code, text }
  } catch (error) {
    return { code: -1, text: (error as Error).message }
  }
}
