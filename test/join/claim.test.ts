import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { startService } from '../support/service.js'
import { missing, SHELLS } from './device.js'
import { makeEdge } from './edgecore.js'
import { startTrouble, text } from './trouble.js'

// Who may have a name: a device that comes back, one whose disk was written anew, one that replaces another, one too many.

const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.213.0.0/16' } })
const { secret } = (await service.call('POST', '/v1/tokens', { role: 'join', namePattern: '*' })).body
const env = { EDGE_IPAM_TOKEN: secret }

const node = async (name: string) => (await service.call('GET', `/v1/nodes/${name}`)).body
const register = (name: string, nodeUid?: string) =>
  service.call('POST', `/v1/nodes/${name}/registration`, nodeUid === undefined ? {} : { nodeUid })
const reregistered = async (name: string) =>
  (await service.call('GET', `/v1/audit?nodeName=${name}&action=node.reregistered`)).body.items

const uidOf = (serial: string) =>
  `hardware-${createHash('sha256').update(`edge-ipam ${serial}`).digest('hex').slice(0, 32)}`

for (const shell of SHELLS) {
  t.test(shell, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    let number = 0
    const newName = () => `claim-${shell}-${++number}`
    const makeDevice = (serial?: string, host = 'raspberrypi') => {
      const device = makeEdge(t, { shell, stubs: { uname: `echo ${host}\n` } })
      if (serial !== undefined) {
        const file = join(device.folder, 'sys/class/dmi/id/product_uuid')
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, `${serial}\n`)
      }
      return device
    }
    const named = (name: string, ...more: string[]) => ['--server', service.url, '--node-name', name, ...more]

    t.test('a name that the host alone gave is not taken from the device that has it', async (t) => {
      const host = newName()
      const args = ['--server', service.url, '--display-ip', '192.168.1.10']
      const first = makeDevice(undefined, host)
      t.match(await first.run(args, { env }), { code: 0, stderr: '' })
      const before = await node(host)

      const second = makeDevice(undefined, host)
      const refused = await second.run([...args, '--display-ip', '192.168.9.9'], { env })
      t.match(refused, {
        code: 18,
        stderr: /^join\.sh: another device has 10\.\S+ as \S+, and the name is only this host's; .*--take-over .*\n$/,
      })
      t.same(await node(host), before, 'nothing was changed, the display IP neither')
      t.strictSame(second.joins(), [])
      t.match(await first.run(args, { env }), { code: 0, stdout: /already set up/ }, 'the first one is known')
      t.match(await second.run([...args, '--take-over'], { env }), { code: 0 })
    })

    t.test('hosts of one name that ask at the same moment: one gets it', async (t) => {
      const { url } = await startTrouble(t, [text(200, '10.213.0.7\n')])
      t.match(await makeDevice().run(['--server', url, '--node-name', 'edge-1'], { env }), {
        code: 18,
        stderr: /^join\.sh: another device has 10\.213\.0\.7 as edge-1, since a moment ago; .*\n$/,
      })
    })

    t.test('a name that was given and has never been seen in the cluster is taken, with a note', async (t) => {
      const name = newName()
      await service.call('POST', '/v1/allocations', { nodeName: name })
      const device = makeDevice()
      const result = await device.run(named(name), { env })
      t.match(result, { code: 0, stderr: '' })
      const { uniqueIp } = await node(name)
      t.match(result.stdout, `note: ${name} has ${uniqueIp} already; if another device uses this name, stop now`)
      t.notMatch((await device.run(named(name), { env })).stdout, 'note: claim', 'the second time it is its own')
    })

    t.test('what a device got itself it is not warned of, also before it is set up with that', async (t) => {
      const name = newName()
      const device = makeDevice()
      device.writeConfig('192.168.1.10', name)
      writeFileSync(join(device.folder, 'state/running'), '')
      for (const [options, code] of [
        [['--dry-run'], 17],
        [[], 17],
        [[], 17],
        [['--readdress'], 0],
        [['--readdress'], 0],
      ] as const) {
        const result = await device.run(named(name, ...options), { env })
        t.match(result, { code })
        t.notMatch(result.stdout, 'another device')
      }

      t.test('but of what another one got', async (t) => {
        const other = makeDevice()
        other.writeConfig('192.168.1.10', name)
        writeFileSync(join(other.folder, 'state/running'), '')
        for (const _ of ['once', 'again'])
          t.match(await other.run(named(name), { env }), { code: 17, stdout: /if another device uses this name/ })
      })
    })

    t.test('a name that is registered is not taken without --take-over', async (t) => {
      const name = newName()
      const device = makeDevice()
      t.match(await device.run(named(name), { env }), { code: 0 })
      await register(name, 'a-uid-of-kubernetes')
      const { uniqueIp, sequence } = await node(name)

      const another = makeDevice()
      t.match(await another.run(named(name), { env }), {
        code: 18,
        stderr:
          /^join\.sh: another device has .*, and this one has no memory of that; give this device another --node-name, .*\n$/,
      })
      t.match(await device.run(named(name), { env }), { code: 0 }, 'the device that has it runs it as before')
      t.match(await another.run(named(name, '--take-over'), { env }), { code: 0, stderr: '' })
      t.strictSame(another.starts(), [uniqueIp])
      t.equal((await node(name)).sequence, sequence, 'without a UID nothing tells them apart')
    })

    t.test('a disk written anew: the same board joins again unattended', async (t) => {
      const name = newName()
      const serial = `4c4c4544-0042-3510-8054-c2c04f${number}${SHELLS.indexOf(shell)}3032`
      const args = named(name, '--node-uid', 'hardware')
      t.match(await makeDevice(serial).run(args, { env }), { code: 0, stderr: '' })
      const before = await node(name)
      t.equal(before.nodeUid, uidOf(serial))
      await register(name)
      const again = makeDevice(serial)
      t.match(await again.run(args, { env }), { code: 0, stderr: '' })
      t.match(await node(name), { uniqueIp: before.uniqueIp, sequence: before.sequence })
      t.strictSame(again.starts(), [before.uniqueIp])
      t.strictSame(await reregistered(name), [])

      t.test('another board is refused, and audited if it is meant', async (t) => {
        const other = makeDevice('4c4c4544-0042-3510-8054-ffffffffffff')
        t.match(await other.run(args, { env }), {
          code: 18,
          stderr: /^join\.sh: another device has .* with the UID hardware-[0-9a-f]{32}, and this one is hardware-.*\n$/,
        })
        t.strictSame(await reregistered(name), [])
        t.match(await other.run([...args, '--take-over'], { env }), { code: 0, stderr: '' })
        const after = await node(name)
        t.equal(after.uniqueIp, before.uniqueIp, 'the address is kept')
        t.ok(after.sequence > before.sequence, 'the sequence is a new one')
        t.equal((await reregistered(name)).length, 1)
        t.match(await again.run(args, { env }), { code: 18 }, 'the board that lost the name learns it')
      })
    })

    t.test("the cluster's own UIDs are left alone", async (t) => {
      const name = newName()
      const args = named(name, '--node-uid', 'hardware')
      const device = makeDevice(`4c4c4544-0042-3510-8054-b7c04f${number}${SHELLS.indexOf(shell)}3032`)
      await service.call('POST', '/v1/allocations', { nodeName: name, nodeUid: '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11' })
      t.match(await device.run(args, { env }), { code: 0, stderr: '' })
      t.equal((await node(name)).nodeUid, '6f1c0f5e-6d0e-4a53-9b8c-0c7d4b9f3a11')
    })

    t.test('a UID of ones own', async (t) => {
      const name = newName()
      t.match(await makeDevice().run(named(name, '--node-uid', 'asset:42'), { env }), { code: 0 })
      t.equal((await node(name)).nodeUid, 'asset:42')
      t.match(await makeDevice().run(named(name, '--node-uid', 'asset:43'), { env }), { code: 18 })
      t.match(await makeDevice().run(named(name, '--node-uid', 'asset:42'), { env }), { code: 0 })
    })

    t.test('a board without a serial number of its own says so', async (t) => {
      const serials = [
        '',
        'Not Settable',
        '00000000-0000-0000-0000-000000000000',
        'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
      ]
      for (const serial of [undefined, ...serials, '03000200-0400-0500-0006-000700080009']) {
        t.match(await makeDevice(serial).run(named('x', '--node-uid', 'hardware', '--timeout', '0'), { env }), {
          code: 2,
          stderr:
            /^join\.sh: this board tells no serial number of its own; give --node-uid another UID, or leave it out\n$/,
        })
      }
      const arm = makeDevice()
      mkdirSync(join(arm.folder, 'proc/device-tree'), { recursive: true })
      writeFileSync(join(arm.folder, 'proc/device-tree/serial-number'), '10000000a1b2c3d4\0')
      const name = newName()
      t.match(await arm.run(named(name, '--node-uid', 'hardware'), { env }), { code: 0 })
      t.equal((await node(name)).nodeUid, uidOf('10000000a1b2c3d4'))
    })

    t.test('a node that comes back gets its address again, if nobody has it', async (t) => {
      const name = newName()
      const device = makeDevice()
      await device.run(named(name), { env })
      const { uniqueIp } = await node(name)
      t.equal((await service.call('DELETE', `/v1/nodes/${name}/allocation`)).status, 200)
      t.match(await device.run(named(name), { env }), {
        code: 0,
        stdout: new RegExp(`set up with ${uniqueIp} .*nothing`),
      })
      t.match(await node(name), { uniqueIp, state: 'allocated' })
    })

    t.test('a node that comes back after its address went to another: told, and moved when it is meant', async (t) => {
      const pool = `tiny-${shell}`
      const cidr = `10.98.${SHELLS.indexOf(shell)}.0/30`
      t.equal((await service.call('POST', '/v1/pools', { name: pool, cidr, quarantineSeconds: 0 })).status, 201)
      const name = newName()
      const device = makeDevice()
      await device.run(named(name, '--pool', pool), { env })
      const { uniqueIp } = await node(name)
      await service.call('DELETE', `/v1/nodes/${name}/allocation`)
      const heir = await service.call('POST', '/v1/allocations', { nodeName: `${name}-heir`, pool, address: uniqueIp })
      t.equal(heir.status, 201)

      const told = await device.run(named(name, '--pool', pool), { env })
      const mine = (await node(name)).uniqueIp
      t.not(mine, uniqueIp)
      t.match(told, {
        code: 17,
        stderr: `join.sh: this device is set up with ${uniqueIp} (${device.config}), and ${name} has ${mine}; add --readdress to set that and restart edgecore\n`,
      })
      t.strictSame(device.starts(), [uniqueIp], 'nothing was done to it')
      t.match(await device.run(named(name, '--pool', pool, '--readdress', '--dry-run'), { env }), {
        code: 0,
        stdout: /would set modules\.edged\.nodeIP: \S+ instead of \S+ in \S+, and restart edgecore\n$/,
      })
      t.match(await device.run(named(name, '--pool', pool, '--readdress'), { env }), { code: 0, stderr: '' })
      t.strictSame(device.starts(), [uniqueIp, mine])
    })

    t.test('a device that is set up under another name is left alone', async (t) => {
      const device = makeDevice()
      device.writeConfig('10.213.9.9', 'other')
      t.match(await device.run(named('claim-new'), { env }), {
        code: 17,
        stderr:
          /^join\.sh: this device is set up as other \(\S+\), not as claim-new; leave the cluster first with --uninstall .*\n$/,
      })
      t.equal((await service.call('GET', '/v1/nodes/claim-new')).status, 404, 'nothing was asked for')
      rmSync(device.config)
    })
  })
}
