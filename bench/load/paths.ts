import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from '../scope.js'

/** Puts paths where requests.lua reads them, a line each; gone when the scope ends. Returns the file. */
export function writePaths(paths: readonly string[], scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-paths-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'paths')
  writeFileSync(file, `${paths.join('\n')}\n`)
  return file
}
