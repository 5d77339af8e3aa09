// `npm run bench`
import { builtProgramsOf } from './control-plane.mjs'
import { prepare } from './prepare.mjs'
import { runNode } from './run-child.mjs'

await prepare()
const programs = process.env.EDGE_IPAM_TEST_CONTROL_PLANE ?? (await builtProgramsOf('control-plane'))
process.exitCode = await runNode(
  ['--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)],
  programs === undefined ? {} : { EDGE_IPAM_TEST_CONTROL_PLANE: programs },
)
