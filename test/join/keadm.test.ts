import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeDevice, missing, SHELLS, TOKEN } from './device.js'
import type { KeadmKind } from './keadm.js'
import { startTrouble, text } from './trouble.js'

// What each kind of keadm is called with.

const IP = '10.213.0.7'
const env = { EDGE_IPAM_TOKEN: TOKEN }

/** Kind, arguments after `--`, and the arguments that keadm join then has. */
const CALLS: [string, KeadmKind, string[], string[]][] = [
  ['--set', 'set', [], ['--edgenode-name=edge-1', '--set', `modules.edged.nodeIP=${IP}`]],
  ['--edgenode-ip', 'flag', [], ['--edgenode-name=edge-1', '--edgenode-ip', IP]],
  [
    'both: the flag that means only this',
    'both',
    ['--set', 'a.b=1'],
    ['--edgenode-name=edge-1', '--edgenode-ip', IP, '--set', 'a.b=1'],
  ],
  [
    'the --set values given are joined to ours, which is first: some keadm take --set once',
    'set',
    ['--set', 'modules.edgeStream.enable=true', '--token', 't', '--set=a.b={1,2},c="x, y"'],
    [
      '--edgenode-name=edge-1',
      '--set',
      `modules.edged.nodeIP=${IP},modules.edgeStream.enable=true,a.b={1,2},c="x, y"`,
      '--token',
      't',
    ],
  ],
  [
    'arguments arrive as they were given',
    'set',
    ['--labels', "a=b c'd", '--kubeedge-version', '', '--token=$(id) `id` "*" \\'],
    [
      '--edgenode-name=edge-1',
      '--set',
      `modules.edged.nodeIP=${IP}`,
      '--labels',
      "a=b c'd",
      '--kubeedge-version',
      '',
      '--token=$(id) `id` "*" \\',
    ],
  ],
]

const NAMED: string[][] = [['--edgenode-name=edge-2'], ['--edgenode-name', 'edge-2'], ['-i', 'edge-2'], ['-i=edge-2']]

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, `${IP}\n`)])
    const args = ['--server', url, '--node-name', 'edge-1']

    for (const [name, kind, extra, expected] of CALLS) {
      t.test(name, async (t) => {
        const device = makeDevice(t, { shell, keadm: kind })
        const result = await device.run([...args, '--', ...extra], { env })
        t.match(result, { code: 0, stderr: '' }, result.stdout)
        t.strictSame(device.joins(), [expected])
      })
    }

    t.test('a node name among the keadm arguments is the one that is asked for, and is not given twice', async (t) => {
      for (const extra of NAMED) {
        const device = makeDevice(t, { shell, keadm: 'flag' })
        t.match(await device.run(['--server', url, '--', ...extra], { env }), { code: 0, stderr: '' })
        t.equal(JSON.parse(seen.at(-1)!.body).nodeName, 'edge-2')
        t.strictSame(device.joins(), [['--edgenode-ip', IP, ...extra]])
      }
    })

    t.test('a keadm in a path with spaces', async (t) => {
      const device = makeDevice(t, { shell })
      const path = join(device.folder, 'my keadm')
      symlinkSync(join(device.bin, 'keadm'), path)
      const result = await device.run([...args, '--keadm', './my keadm'], { env })
      t.equal(result.code, 0)
      t.match(result.stdout, "running: './my keadm' join")
      t.equal(device.joins().length, 1)
    })

    t.test('a keadm join that fails is said with its code, and the address stays', async (t) => {
      const device = makeDevice(t, { shell, keadmExit: 9 })
      const result = await device.run(args, { env })
      t.match(result, {
        code: 16,
        stderr: /^join\.sh: keadm join failed with code 9; [^\n]*edge-1 keeps 10\.213\.0\.7[^\n]*\n$/,
      })
    })

    t.test('a keadm that refuses an argument has its own message above ours', async (t) => {
      const device = makeDevice(t, { shell })
      const result = await device.run([...args, '--', '--no-such-flag'], { env })
      t.match(result, {
        code: 16,
        stderr: /^Error: unknown flag: --no-such-flag\njoin\.sh: keadm join failed with code 1; [^\n]*\n$/,
      })
    })

    t.test('a dry run without a usable keadm still says the steps before, and fails like the real one', async (t) => {
      const without = await makeDevice(t, { shell, keadm: 'missing' }).run([...args, '--dry-run'], { env })
      t.match(without, { code: 14, stdout: /would ask .*\n.*would get 10\.213\.0\.7/ })
      const stubs = { keadm: 'echo "Usage: something else"\n' }
      const other = await makeDevice(t, { shell, keadm: 'missing', stubs }).run([...args, '--dry-run'], { env })
      t.match(other, { code: 15, stdout: /would ask .*\n.*would get 10\.213\.0\.7/ })
    })
  })
}
