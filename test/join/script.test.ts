import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import t from 'tap'
import { joinScript } from '../../src/integrations/join/plugin.js'
import { readText, tableRows } from '../repository/markdown.js'
import { makeDevice, missing, SCRIPT, SHELLS, TOKEN } from './device.js'
import { startTrouble, text } from './trouble.js'

t.test(
  'GET /join.sh gives the script as it is in the repository, to everybody the same, never from a cache',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(joinScript)
    const response = await app.inject({ url: '/join.sh', headers: { host: 'ipam.example' } })
    t.match(response, { statusCode: 200, body: readFileSync(SCRIPT, 'utf8') })
    t.equal(response.headers['content-type'], 'text/x-shellscript; charset=utf-8')
    t.equal(response.headers['cache-control'], 'no-store')
    t.equal((await app.inject({ method: 'HEAD', url: '/join.sh' })).statusCode, 200)
  },
)

t.test(
  'the documented ways to get the script fail where it cannot be got',
  { skip: missing('curl') ?? false },
  async (t) => {
    const { url, seen } = await startTrouble(t, [text(404, '')])
    const commands = ['README.md', 'README.zh-CN.md', 'docs/joining.md'].map(
      (file) => /^```sh\n(curl [^`]*\/join\.sh[^`]*)```/m.exec(readText(file))?.[1],
    )
    commands.push(/^ {2}curl .*\/join\.sh.*\n.*/m.exec(readFileSync(SCRIPT, 'utf8'))?.[0])
    const { paths } = JSON.parse(readText('openapi/openapi.json'))
    commands.push(
      /`(curl [^`]*)`/.exec(paths['/join.sh'].get.description)?.[1]?.replace(' <arguments for keadm join>', ''),
    )
    for (const command of commands) {
      const here = command!.replaceAll(/https?:\/\/(SERVER|ipam\.example\.com|127\.0\.0\.1:8080)|<server>/g, url)
      const asked = seen.length
      const run = promisify(execFile)('sh', ['-c', here], { cwd: t.testdir({}) })
      await t.rejects(run, { code: 22 }, here)
      t.equal(seen.length, asked + 1)
    }
  },
)

for (const shell of SHELLS) {
  t.test(`${shell}: half a script does nothing`, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, '10.213.0.7\n')])
    const device = makeDevice(t, { shell })
    const whole = readFileSync(SCRIPT, 'utf8')
    const last = whole.trimEnd().lastIndexOf('\n') + 1
    const cuts = [0.2, 0.5, 0.8].map((part) => Math.floor(whole.length * part))
    for (let cut = last; cut < whole.trimEnd().length; cut++) cuts.push(cut)
    const environment = { EDGE_IPAM_TOKEN: TOKEN, EDGE_IPAM_SERVER: url }
    for (const cut of cuts)
      await device.run(['--node-name', 'edge-1'], { piped: whole.slice(0, cut), env: environment })
    t.equal(seen.length, 0)
    t.strictSame(device.joins(), [])
    await device.run(['--node-name', 'edge-1'], { piped: whole.trimEnd(), env: environment })
    t.equal(seen.length, 1, 'the whole of it does, also without the last newline')
  })
}

t.test('the codes of --help are those of the documentation, and those that the script ends with', async (t) => {
  const script = readFileSync(SCRIPT, 'utf8')
  const help = script.slice(script.indexOf('\nExit codes\n'), script.indexOf('\nHELP\n'))
  const inHelp = [...help.matchAll(/^ +(\d+(?:, \d+)?) {2}/gm)].map(([, code]) => code)
  t.strictSame(
    inHelp,
    tableRows(readText('docs/joining.md'), 'code').map(([code]) => code),
  )
  const named = [...script.matchAll(/\b(EX_\w+)=(\d+)/g)]
  t.strictSame([...named.map(([, , code]) => code)].sort(), inHelp.slice(2, -1).sort())
  for (const [, name] of named) t.match(script, new RegExp(`die \\$${name} `), `${name} is used`)
})

t.test('shellcheck finds nothing', { skip: missing('shellcheck') ?? false }, async (t) => {
  const result = spawnSync('shellcheck', ['-s', 'sh', '-o', 'avoid-nullary-conditions', SCRIPT], { encoding: 'utf8' })
  t.match(result, { status: 0, stdout: '' })
})
