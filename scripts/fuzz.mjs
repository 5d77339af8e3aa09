// `npm run fuzz`
import { prepare } from './prepare.mjs'
import { runNode } from './run-child.mjs'

await prepare()
process.exitCode = await runNode(['--import', 'tsx', 'test/fuzz/main.ts', ...process.argv.slice(2)])
