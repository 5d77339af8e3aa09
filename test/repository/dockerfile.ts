import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

export interface Instruction {
  word: string
  rest: string
}

/** A stage of the Dockerfile: what follows one FROM. */
export interface Stage {
  name: string
  /** The image it begins with, as written. */
  base: string
  instructions: Instruction[]
}

/** The instructions of the repository's Dockerfile, those before the first FROM under the name ''. */
export function readDockerfile(): Stage[] {
  const text = readFileSync(`${root}Dockerfile`, 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n */g, '')
  const stages: Stage[] = [{ name: '', base: '', instructions: [] }]
  for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
    const [, word = '', rest = ''] = /^(\w+) +(.*)$/.exec(line.trim()) ?? []
    const [, base = '', name = 'runtime'] = /^(\S+)(?: AS (\w+))?$/.exec(rest) ?? []
    if (word === 'FROM') stages.push({ name, base, instructions: [] })
    else stages.at(-1)!.instructions.push({ word, rest })
  }
  return stages
}

/** The words of all instructions of this name in a stage. */
export function valuesOf(stage: Stage, word: string): string[] {
  return stage.instructions.filter((one) => one.word === word).map((one) => one.rest)
}

/** A COPY: from which stage (undefined: the build context), what, and where to, as written. */
export function readCopy(rest: string): { from: string | undefined; sources: string[]; target: string } {
  const [, from, paths = ''] = /^(?:--from=(\w+) )?(.*)$/.exec(rest)!
  const words = paths.split(/ +/)
  return { from, sources: words.slice(0, -1), target: words.at(-1)! }
}

/** The list of words of an ENTRYPOINT, a CMD, or a HEALTHCHECK with its options before it. */
export function commandOf(stage: Stage, word: string): string[] {
  return JSON.parse(
    valuesOf(stage, word)
      .at(-1)!
      .replace(/^.*?(?=\[)/, ''),
  )
}

export function environmentOf(stage: Stage): Record<string, string> {
  const pairs = valuesOf(stage, 'ENV').flatMap((rest) => rest.split(' '))
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]))
}

/** Does the COPY and RUN lines of all stages, each stage in a folder of its name; no container engine is needed. */
export function buildStages(stages: readonly Stage[], folder: string): void {
  for (const stage of stages) {
    let workdir = '/'
    const inside = (path: string) => join(folder, stage.name, resolve(workdir, path))
    mkdirSync(inside('.'), { recursive: true })
    for (const { word, rest } of stage.instructions) {
      if (word === 'WORKDIR') {
        workdir = rest
        mkdirSync(inside('.'), { recursive: true })
      }
      if (word === 'RUN') run(rest, inside('.'))
      if (word !== 'COPY') continue
      const { from, sources, target } = readCopy(rest)
      for (const source of sources) {
        const path = from === undefined ? join(root, source) : join(folder, from, source)
        // As Docker has it: a folder's content goes into the target, a file under its name into `./`.
        cpSync(path, target === './' ? inside(basename(source)) : inside(target), { recursive: true })
      }
    }
  }
}

function run(command: string, cwd: string): void {
  if (/^npm ci .*--include=dev/.test(command)) {
    // The same packages that are installed here already: a second time would prove nothing and take half a minute.
    symlinkSync(join(root, 'node_modules'), join(cwd, 'node_modules'))
  } else {
    const words = ['sh', '-c', command.replace(/^npm ci/, 'npm ci --prefer-offline')]
    // In the image's build everything is done as root.
    if (/\bchroot\b/.test(command) && process.getuid?.() !== 0) words.unshift('unshare', '--map-root-user')
    // tap has every Node of a test load something, which is not there.
    execFileSync('env', ['--unset=NODE_OPTIONS', ...words], { cwd, stdio: 'pipe' })
  }
}
