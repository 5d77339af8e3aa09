import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

export interface Instruction {
  word: string
  rest: string
}

/** A stage of the Dockerfile: what follows one FROM. */
export interface Stage {
  name: string
  instructions: Instruction[]
}

/** The instructions of the repository's Dockerfile, those before the first FROM under the name ''. */
export function readDockerfile(): Stage[] {
  const text = readFileSync(`${root}Dockerfile`, 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n */g, '')
  const stages: Stage[] = [{ name: '', instructions: [] }]
  for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
    const [, word = '', rest = ''] = /^(\w+) +(.*)$/.exec(line.trim()) ?? []
    if (word === 'FROM') stages.push({ name: / AS (\w+)$/.exec(rest)?.[1] ?? 'runtime', instructions: [] })
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
