import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from '../scope.js'

/** Puts paths or bodies where requests.lua reads them, a line each; gone when the scope ends. Returns the file. */
export function writeLines(lines: readonly string[], scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-lines-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'lines')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}
