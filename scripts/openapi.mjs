// `npm run openapi`: writes the API description from the routes themselves.
import { prepare } from './prepare.mjs'

await prepare()
const { main } = await import('../dist/cli/openapi.js')
process.exitCode = await main(process.argv.slice(2))
