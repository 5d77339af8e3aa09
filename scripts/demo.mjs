// `npm run demo`
import { prepare } from './prepare.mjs'

await prepare()
const { demo } = await import('../dist/cli/demo.js')
process.exitCode = await demo(process.argv.slice(2))
