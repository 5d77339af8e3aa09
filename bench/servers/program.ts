import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../scope.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Puts the built program into a folder of its own, as an installed package has it, and returns the path of what starts it.
 * So a run measures one build from its first round to its last, whatever is edited and built meanwhile.
 */
export function installProgram(scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-program-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }
  for (const name of ['package.json', ...files]) {
    if (existsSync(join(root, name))) cpSync(join(root, name), join(folder, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return join(folder, 'bin', 'edge-ipam.mjs')
}
