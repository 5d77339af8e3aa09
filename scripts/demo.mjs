// `npm run demo`
import { prepare } from './prepare.mjs'

await prepare()
const { main } = await import('../dist/main.js')
await main(['demo', ...process.argv.slice(2)])
