import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './dockerfile.js'

/** The files that git keeps, and new ones that it would; undefined where this is no checkout that git may read. */
export function repositoryFiles(): string[] | undefined {
  try {
    const options = { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] as 'pipe'[] }
    const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], options)
    return list.toString('utf8').split('\0').slice(0, -1)
  } catch {
    return undefined
  }
}

export const markdownFiles = ['', 'docs/']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}${name}`))
  .filter((file) => file.endsWith('.md'))

export function readText(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** A block that is to be run, and what it is said to print; null: nothing is said. */
export interface Example {
  script: string
  output: string | null
}

interface Block {
  /** The comment in the line before it, if it has one. */
  mark: string | undefined
  language: string
  text: string
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^(?:<!-- (.*) -->\n)?```(\w*)\n([\s\S]*?)^```$/gm)].map(([, mark, language, text]) => ({
    mark,
    language: language!,
    text: text!,
  }))
}

/** The blocks after `<!-- run -->`, each with the block after the `<!-- output -->` that follows it. */
export function examplesOf(markdown: string): Example[] {
  const examples: Example[] = []
  for (const { mark, language, text } of blocksOf(markdown)) {
    if (mark === 'run' && language === 'sh') examples.push({ script: text, output: null })
    else if (mark === 'output' && examples.at(-1)?.output === null) examples.at(-1)!.output = text
    else if (mark !== undefined && !mark.startsWith('run in '))
      throw new Error(`a block ${language} after <!-- ${mark} --> is neither an example nor its output`)
  }
  return examples
}

/** The blocks after `<!-- run in <test> -->`, which this test runs. */
export function blocksRunIn(test: string, markdown: string): string[] {
  return blocksOf(markdown)
    .filter(({ mark }) => mark === `run in ${test}`)
    .map(({ text }) => text)
}

/** The tests that are said to run blocks of a document. */
export function runningTests(markdown: string): string[] {
  return blocksOf(markdown).flatMap(({ mark }) => (mark?.startsWith('run in ') ? [mark.slice('run in '.length)] : []))
}

/** Every command of the blocks for a shell that are not marked to be run, without comments. */
export function otherCommands(markdown: string): string[] {
  return blocksOf(markdown)
    .filter(({ mark, language }) => ['sh', 'bash', 'shell', 'console'].includes(language) && !mark?.startsWith('run'))
    .flatMap(({ text }) => text.replace(/\\\n\s*/g, '').split('\n'))
    .map((line) => line.replace(/(^|\s)#.*/, '').trim())
    .filter((line) => line !== '')
}

/** The rows of the table whose head begins with this cell, as cells without their back-ticks. */
export function tableRows(markdown: string, firstHead: string): string[][] {
  const lines = markdown.split('\n')
  const head = lines.findIndex((line) => line.startsWith(`| ${firstHead} |`))
  if (head < 0) throw new Error(`no table begins with ${firstHead}`)
  const rows: string[][] = []
  for (const line of lines.slice(head + 2)) {
    if (!line.startsWith('|')) break
    rows.push(
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
  }
  return rows
}
