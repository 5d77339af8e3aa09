import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { missing, SHELLS, TOKEN } from './device.js'
import { makeEdge } from './edgecore.js'
import { startTrouble, text } from './trouble.js'

// A keadm that cannot be told an address: edgecore.yaml is edited, and before edgecore starts if that can be.

const IP = '10.213.0.7'
const env = { EDGE_IPAM_TOKEN: TOKEN }

/** What stands in edgecore.yaml, and what stands there afterwards. */
const FORMS: [string, string, string][] = [
  [
    'v1alpha1, filled in by auto-detection',
    `apiVersion: edgecore.config.kubeedge.io/v1alpha1
kind: EdgeCore
modules:
  edgeHub:
    nodeIP: stays
    websocket:
      server: 192.168.1.10:10000
  edged:
    cgroupDriver: cgroupfs
    nodeIP: 192.168.1.10
    nodeStatusUpdateFrequency: 10
  eventBus:
    nodeIP: stays
nodeIP: stays
`,
    `apiVersion: edgecore.config.kubeedge.io/v1alpha1
kind: EdgeCore
modules:
  edgeHub:
    nodeIP: stays
    websocket:
      server: 192.168.1.10:10000
  edged:
    cgroupDriver: cgroupfs
    nodeIP: ${IP}
    nodeStatusUpdateFrequency: 10
  eventBus:
    nodeIP: stays
nodeIP: stays
`,
  ],
  [
    'v1alpha2, absent: the same key deeper in stays as it is',
    `modules:
  dbTest:
    enable: false
  edged:
    enable: true
    tailoredKubeletConfig:
      clusterDNS:
      - 169.254.96.16
      nodeIP: stays
      text: |
        nodeIP: stays
    registerNodeNamespace: default
  serviceBus:
    enable: false
`,
    `modules:
  dbTest:
    enable: false
  edged:
    enable: true
    tailoredKubeletConfig:
      clusterDNS:
      - 169.254.96.16
      nodeIP: stays
      text: |
        nodeIP: stays
    registerNodeNamespace: default
    nodeIP: ${IP}
  serviceBus:
    enable: false
`,
  ],
  ['empty', 'modules:\n  edged:\n    nodeIP: ""\n', `modules:\n  edged:\n    nodeIP: ${IP}\n`],
  ['nothing at all', 'modules:\n  edged:\n    nodeIP:\n', `modules:\n  edged:\n    nodeIP: ${IP}\n`],
  ['quoted', "modules:\n  edged:\n    nodeIP: '192.168.1.10'\n", `modules:\n  edged:\n    nodeIP: ${IP}\n`],
  ['with quoted keys', '"modules":\n  "edged":\n    "nodeIP": x\n', `"modules":\n  "edged":\n    nodeIP: ${IP}\n`],
  ['with a comment', 'modules:\n  edged: # e\n    nodeIP: x # y\n', `modules:\n  edged: # e\n    nodeIP: ${IP}\n`],
  [
    'four blanks, comments and empty lines between',
    'modules:\n\n# a\n    edged:\n# b\n\n        enable: true\n\n    other: {}\n',
    `modules:\n\n# a\n    edged:\n# b\n\n        enable: true\n\n        nodeIP: ${IP}\n    other: {}\n`,
  ],
  ['edged last, and nothing in it', 'modules:\n  edged:\n', `modules:\n  edged:\n    nodeIP: ${IP}\n`],
  [
    'lines that end as on Windows',
    'modules:\r\n  edged:\r\n    a: 1\r\n',
    `modules:\r\n  edged:\r\n    a: 1\r\n    nodeIP: ${IP}\r\n`,
  ],
  [
    'lists at the depth of their key',
    'modules:\n  edged:\n    taints:\n    - nodeIP: stays\n    enable: true\n',
    `modules:\n  edged:\n    taints:\n    - nodeIP: stays\n    enable: true\n    nodeIP: ${IP}\n`,
  ],
]

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    const { url } = await startTrouble(t, [text(201, `${IP}\n`)])
    const args = ['--server', url, '--node-name', 'edge-1']

    t.test('with systemd edgecore never starts with another address', async (t) => {
      for (const own of ['192.168.1.10', '']) {
        const device = makeEdge(t, { shell, keadm: 'neither' })
        const result = await device.run(args, { env: { ...env, EDGE_OWN_ADDRESS: own } })
        t.match(result, { code: 0, stderr: '', stdout: /edge-1 joined with 10\.213\.0\.7\n$/ }, result.stdout)
        t.strictSame(device.starts(), [IP])
        t.strictSame(device.joins(), [['--edgenode-name=edge-1']])
        t.notOk(existsSync(join(device.folder, 'run/systemd/system/edgecore.service.d')), 'the drop-in is gone')
        t.notOk(existsSync(join(device.folder, 'run/edge-ipam')), 'and what it called')
        t.match(
          readFileSync(`${device.config}.before-edge-ipam`, 'utf8'),
          own ? 'nodeIP: 192.168.1.10' : 'enable: true',
        )
      }
    })

    t.test('without systemd it is stopped after the join, and started with the address', async (t) => {
      for (const init of ['none', 'unseen'] as const) {
        const device = makeEdge(t, { shell, keadm: 'neither', init })
        const result = await device.run(args, { env })
        t.match(result, { code: 0, stderr: '', stdout: /edge-1 joined with 10\.213\.0\.7\n$/ }, result.stdout)
        t.strictSame(device.starts(), ['192.168.1.10', IP])
        t.match(await device.run(args, { env }), { code: 0, stdout: /nothing to do\n$/ })
      }
    })

    t.test('the drop-in goes also when keadm fails', async (t) => {
      const device = makeEdge(t, { shell, keadm: 'neither', keadmExit: 3 })
      t.match(await device.run(args, { env }), { code: 16 })
      t.notOk(existsSync(join(device.folder, 'run/systemd/system/edgecore.service.d')))
      t.strictSame(device.systemctl().slice(-1), ['daemon-reload'])
    })

    t.test('a dry run says where and when', async (t) => {
      for (const [init, when] of [
        ['systemd', 'before systemd starts edgecore'],
        ['none', 'after keadm, edgecore stopped meanwhile'],
      ] as const) {
        const device = makeEdge(t, { shell, keadm: 'neither', init })
        const { stdout } = await device.run([...args, '--dry-run'], { env })
        t.match(stdout, /would run: \S+keadm join --edgenode-name=edge-1\n/)
        t.match(stdout, new RegExp(`would set modules\\.edged\\.nodeIP: ${IP} in \\S+edgecore\\.yaml ${when}\n$`))
        t.strictSame(device.starts(), [])
        t.notOk(existsSync(device.record))
      }
    })

    t.test('a keadm that knows no flag of KubeEdge is not run', async (t) => {
      const device = makeEdge(t, { shell, stubs: { keadm: 'echo "Usage: keadm join [--set x]"\n' }, keadm: 'missing' })
      const other = makeEdge(t, { shell, stubs: { keadm: 'echo "Usage: keadm [things]"\n' }, keadm: 'missing' })
      t.match(await other.run(args, { env }), {
        code: 15,
        stderr: /^join\.sh: \S+ join --help names no flag .*; .*\n$/,
      })
      t.match(await device.run([...args, '--dry-run'], { env }), { code: 0 })
    })

    t.test('every form of edgecore.yaml, and nothing else in it', async (t) => {
      for (const [name, before, after] of FORMS) {
        const device = makeEdge(t, { shell })
        mkdirSync(dirname(device.config), { recursive: true })
        writeFileSync(device.config, before)
        // A device that runs with another address, and is given its own.
        writeFileSync(join(device.folder, 'state/running'), '')
        const result = await device.run([...args, '--readdress'], { env })
        t.match(result, { code: 0, stderr: '' }, name)
        t.equal(device.readConfig(), after, name)
        t.equal(readFileSync(`${device.config}.before-edge-ipam`, 'utf8'), before, `${name}: the copy`)
        // It finds again what it wrote.
        t.match(await device.run(args, { env }), { code: 0, stdout: /already set up with 10\.213\.0\.7/ }, name)
      }
    })

    t.test('IPv6 is quoted: an address may end in a colon', async (t) => {
      const six = await startTrouble(t, [text(201, 'fd00::\n')])
      const device = makeEdge(t, { shell, keadm: 'neither' })
      t.match(await device.run(['--server', six.url, '--node-name', 'edge-1'], { env }), { code: 0, stderr: '' })
      t.match(device.readConfig(), '    nodeIP: "fd00::"\n')
      t.match(await device.run(['--server', six.url], { env }), { code: 0, stdout: /already set up with fd00::/ })
    })

    t.test('mode, owner and a link are kept', async (t) => {
      const device = makeEdge(t, { shell })
      device.writeConfig('192.168.1.10')
      const real = join(device.folder, 'real.yaml')
      writeFileSync(real, device.readConfig())
      writeFileSync(join(device.folder, 'state/running'), '')
      const link = makeEdge(t, { shell })
      mkdirSync(dirname(link.config), { recursive: true })
      symlinkSync(real, link.config)
      writeFileSync(join(link.folder, 'state/running'), '')
      chmodSync(real, 0o640)
      if (process.getuid?.() === 0) chownSync(real, 65534, 65533)
      t.match(await link.run([...args, '--readdress'], { env }), { code: 0, stderr: '' })
      t.match(readFileSync(real, 'utf8'), `nodeIP: ${IP}`)
      t.match(readFileSync(link.config, 'utf8'), `nodeIP: ${IP}`)
      const { mode, uid, gid } = statSync(real)
      t.equal(mode & 0o777, 0o640)
      if (process.getuid?.() === 0) t.strictSame([uid, gid], [65534, 65533])
    })

    t.test('a file that it does not understand stays as it is, and edgecore is not started with it', async (t) => {
      for (const strange of [
        'modules: {edged: {enable: true}}\n',
        'modules:\n  edged: {}\n',
        'edged:\n  enable: true\n',
      ]) {
        const device = makeEdge(t, { shell })
        mkdirSync(dirname(device.config), { recursive: true })
        writeFileSync(device.config, strange)
        writeFileSync(join(device.folder, 'state/running'), '')
        t.match(await device.run([...args, '--readdress'], { env }), {
          code: 21,
          stderr: /^join\.sh: \S+edgecore\.yaml could not be changed \(.*modules\.edged was not found.*\); .*\n$/,
        })
        t.equal(device.readConfig(), strange)
        t.strictSame(device.starts(), [])
      }
    })

    t.test('an edgecore that does not come up again is said', async (t) => {
      const device = makeEdge(t, { shell, keadm: 'neither', init: 'none' })
      device.setBroken(true)
      t.match(await device.run(args, { env }), {
        code: 19,
        stderr: /^join\.sh: edgecore does not run with 10\.213\.0\.7 \(\S+\); see \S+edgecore\.log, mend it, .*\n$/,
      })
    })
  })
}
