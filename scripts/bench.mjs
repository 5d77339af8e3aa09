// `npm run bench`
import { prepare } from './prepare.mjs'
import { runNode } from './run-child.mjs'

await prepare()
process.exitCode = await runNode(['--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)])
