#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
// A clone brings the sources, an installed package the build.
if (existsSync(here('../src/main.ts'))) {
  const { prepare } = await import('../scripts/prepare.mjs')
  await prepare()
}
const { main } = await import('../dist/main.js')
await main(process.argv.slice(2))
