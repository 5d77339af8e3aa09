// `npm start`: whatever is missing, then the service, in this one process, so that signals reach it.
import { prepare } from './prepare.mjs'

await prepare()
const { main } = await import('../dist/main.js')
await main(['serve', ...process.argv.slice(2)])
