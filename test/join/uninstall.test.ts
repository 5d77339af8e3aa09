import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { startService } from '../support/service.js'
import { CLIENTS, missing, SHELLS } from './device.js'
import { makeEdge } from './edgecore.js'

// A device that leaves.

const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.213.0.0/16', EDGE_IPAM_JOIN_PORT: '0' } })
const { secret } = (await service.call('POST', '/v1/tokens', { role: 'join', namePattern: '*' })).body
const env = { EDGE_IPAM_TOKEN: secret }
const admin = { EDGE_IPAM_TOKEN: service.adminToken }
const node = async (name: string) => (await service.call('GET', `/v1/nodes/${name}`)).body

for (const shell of SHELLS) {
  for (const client of CLIENTS) {
    t.test(
      `${shell} with ${client}: a token that may releases`,
      { skip: missing(shell, client) ?? false },
      async (t) => {
        const name = `leaver-${shell}-${client}`
        const device = makeEdge(t, { shell, client })
        await device.run(['--server', service.url, '--node-name', name], { env })
        const { uniqueIp, sequence } = await node(name)

        const dry = await device.run(['--uninstall', '--dry-run'], { env: admin })
        t.match(dry, { code: 0, stderr: '' })
        t.match(dry.stdout, /would run: \S+keadm reset --force\njoin\.sh: would have released \S+ of /)
        t.match(await node(name), { uniqueIp, state: 'allocated' })
        t.ok(existsSync(device.config))

        // Server and name are remembered.
        const result = await device.run(['--uninstall'], { env: admin })
        t.match(result, { code: 0, stderr: '' })
        t.match(result.stdout, `released ${uniqueIp} of ${name}\n`)
        t.strictSame(device.resets(), ['reset --force'])
        t.notOk(existsSync(device.config))
        t.notOk(existsSync(device.record))
        const { items } = (await service.call('GET', `/v1/allocations?nodeName=${name}`)).body
        t.match(items, [{ uniqueIp, sequence, state: 'quarantined' }])

        const again = await device.run(['--uninstall', '--server', service.url, '--node-name', name], { env: admin })
        t.match(again, {
          code: 0,
          stderr: '',
          stdout: /nothing is set up here\n.*no memory of an address; nothing is released\n$/,
        })
        t.match(
          await device.run(['--uninstall'], {}),
          { code: 0, stderr: '' },
          'it needs neither server nor token for that',
        )
      },
    )
  }

  const skip = missing(shell, 'curl') ?? false

  t.test(
    `${shell}: for a token that may not, the administrator's command is printed, and works`,
    { skip },
    async (t) => {
      const name = `held-${shell}`
      const device = makeEdge(t, { shell })
      await device.run(['--server', service.url, '--node-name', name], { env })
      await service.call('POST', `/v1/nodes/${name}/registration`)
      const { uniqueIp, sequence } = await node(name)

      const asAdmin = makeEdge(t, { shell })
      asAdmin.writeConfig(uniqueIp, name)
      const registered = await asAdmin.run(['--uninstall', '--server', service.url], { env: admin })
      t.match(registered, {
        code: 0,
        stderr: '',
        stdout: /is still registered: \S+ stays its own\. Remove it from the cluster/,
      })

      for (const given of [env, {}]) {
        const result = await device.run(['--uninstall'], { env: given })
        t.match(result, { code: 0, stderr: '' })
        const [kubectl, curl] = result.stdout.split('\n').slice(-3)
        t.equal(kubectl, `  kubectl delete node ${name}`)
        t.equal(
          curl,
          `  curl -fsS -X DELETE -H "Authorization: Bearer $EDGE_IPAM_ADMIN_TOKEN" -H 'If-Match: "${sequence}"' '${service.url}/v1/nodes/${name}/allocation?force=true'`,
        )
        if (given === env)
          t.match(result.stdout, `this token may not release ${uniqueIp} of ${name}. Once the node is gone`)
        else t.match(result.stdout, `without a token ${uniqueIp} of ${name} is not released.`)
      }
      t.match(await node(name), { uniqueIp, state: 'registered' })
      t.notOk(existsSync(device.config), 'the device itself is done')

      const command = (await device.run(['--uninstall'], { env })).stdout.split('\n').at(-2)!
      execFileSync('sh', ['-c', command], {
        env: { PATH: process.env.PATH, EDGE_IPAM_ADMIN_TOKEN: service.adminToken },
      })
      t.match(await node(name), { uniqueIp: null })
      const last = await device.run(['--uninstall'], { env: admin })
      t.match(last, { code: 0, stdout: /released \S+ of / }, 'once more is the same release')
      t.match(await device.run(['--uninstall'], { env: admin }), { code: 0, stdout: /no memory of an address/ })
    },
  )

  t.test(`${shell}: through the listener for devices, which has no release`, { skip }, async (t) => {
    const name = `listener-${shell}`
    const device = makeEdge(t, { shell })
    await device.run(['--server', service.ready.join!, '--node-name', name], { env })
    const { uniqueIp, sequence } = await node(name)
    writeFileSync(`${device.folder}/ca.pem`, '-----BEGIN CERTIFICATE-----\n')
    const result = await device.run(['--uninstall', '--ca-file', 'ca.pem'], { env: admin })
    t.match(result, { code: 0, stderr: '' })
    t.match(
      result.stdout,
      `${service.ready.join} does not release, it is for devices. Once the node is gone from the cluster, an administrator releases ${uniqueIp} of ${name} at the service's own URL:\n`,
    )
    t.equal(
      result.stdout.split('\n').at(-2),
      `  curl -fsS --cacert CA_FILE -X DELETE -H "Authorization: Bearer $EDGE_IPAM_ADMIN_TOKEN" -H 'If-Match: "${sequence}"' 'SERVER/v1/nodes/${name}/allocation?force=true'`,
    )
    t.match(await node(name), { uniqueIp, state: 'allocated' })
  })

  t.test(`${shell}: what is missing for a release is named`, { skip }, async (t) => {
    for (const [given, lacking] of [
      [env, 'a server'],
      [{}, 'a token and a server'],
    ] as const) {
      const device = makeEdge(t, { shell })
      device.writeConfig('10.213.7.7', `lacking-${shell}`)
      const result = await device.run(['--uninstall'], { env: given })
      t.match(result, { code: 0, stderr: '' })
      t.match(result.stdout, `join.sh: without ${lacking} 10.213.7.7 of`)
    }
  })

  t.test(
    `${shell}: with the service away the device is undone, and the release is left for later`,
    { skip },
    async (t) => {
      const name = `late-${shell}`
      const device = makeEdge(t, { shell })
      await device.run(['--server', service.url, '--node-name', name], { env })
      const away = ['--uninstall', '--server', 'http://127.0.0.1:1', '--timeout', '0']
      t.match(await device.run(away, { env: admin }), { code: 5, stdout: /running: \S+keadm reset --force\n/ })
      t.notOk(existsSync(device.config))
      const args = ['--uninstall', '--server', service.url]
      t.match(await device.run(args, { env: admin }), {
        code: 0,
        stdout: /nothing is set up here\n.*released \S+ of late-/,
      })
    },
  )

  t.test(`${shell}: what the name has got since is not touched`, { skip }, async (t) => {
    const name = `heir-${shell}`
    const device = makeEdge(t, { shell })
    await device.run(['--server', service.url, '--node-name', name], { env })
    await service.call('DELETE', `/v1/nodes/${name}/allocation`)
    await service.call('POST', '/v1/allocations', { nodeName: name })
    const { uniqueIp } = await node(name)
    const result = await device.run(['--uninstall'], { env: admin })
    t.match(result, { code: 0, stderr: '', stdout: /does not hold \S+ any more; nothing to release\n$/ })
    t.match(await node(name), { uniqueIp, state: 'allocated' })

    // A device that was set up with another address, by hand.
    const byHand = makeEdge(t, { shell })
    byHand.writeConfig('192.168.1.10', name)
    t.match(await byHand.run(['--uninstall', '--server', service.url], { env: admin }), {
      code: 0,
      stdout: /does not hold 192\.168\.1\.10 any more; nothing to release\n$/,
    })
    t.match(await node(name), { uniqueIp, state: 'allocated' })
  })

  t.test(`${shell}: what keadm reset leaves where edgecore does not run is removed`, { skip }, async (t) => {
    const device = makeEdge(t, { shell })
    device.writeConfig('10.213.7.7', `half-${shell}`)
    const result = await device.run(['--uninstall', '--server', service.url], { env: admin })
    t.match(result, {
      code: 0,
      stdout: /None of KubeEdge.*\njoin\.sh: removed \S+\/etc\/kubeedge, which keadm reset leaves/,
    })
    t.notOk(existsSync(dirname(dirname(device.config))))

    const both = makeEdge(t, { shell })
    both.writeConfig('10.213.7.7', `half-${shell}`)
    writeFileSync(`${dirname(both.config)}/cloudcore.yaml`, '')
    t.match(await both.run(['--uninstall', '--server', service.url], { env: admin }), {
      code: 23,
      stderr:
        /^join\.sh: keadm reset left \S+, and this host has a cloudcore too; remove what belongs to edgecore in \S+\n$/,
    })
    t.ok(existsSync(both.config))
  })

  t.test(`${shell}: the drop-in of a join that was killed goes, too`, { skip }, async (t) => {
    const device = makeEdge(t, { shell, keadm: 'neither' })
    device.killDuringJoin()
    t.match(await device.run(['--server', service.url, '--node-name', `killed-${shell}`], { env }), { code: null })
    await device.run(['--uninstall', '--dry-run'], { env })
    t.ok(existsSync(device.dropIn))
    t.match(await device.run(['--uninstall'], { env }), { code: 0, stderr: '' })
    t.notOk(existsSync(dirname(device.dropIn)))
    t.equal(device.systemctl().at(-1), 'daemon-reload')
  })

  t.test(`${shell}: a keadm reset that fails, and a keadm that is gone`, { skip }, async (t) => {
    const device = makeEdge(t, { shell })
    device.writeConfig('10.213.7.7', `stuck-${shell}`)
    writeFileSync(`${device.folder}/reset`, '#!/bin/sh\nexit 4\n', { mode: 0o755 })
    const args = ['--uninstall', '--server', service.url]
    t.match(await device.run(args, { env }), {
      code: 23,
      stderr: /^join\.sh: keadm reset failed with code 4; its messages are above: mend it, and run this again\n$/,
    })
    t.match(await device.run([...args, '--keadm', '/gone'], { env }), { code: 14 })
    t.ok(existsSync(device.config))
  })

  t.test(`${shell}: keadm's own command for the edge is used where it has one`, { skip }, async (t) => {
    const help =
      'Available Commands:\n  cloud       Teardowns CloudCore component\n  edge        Teardowns EdgeCore component\n'
    const keadm = `case "$*" in 'reset --help') printf '${help}' ;; *) echo "$*" >>"$HOME/calls" ;; esac\n`
    const device = makeEdge(t, {
      shell,
      keadm: 'missing',
      stubs: { keadm: `${keadm}[ "$1" = join ] && echo --cloudcore-ipport || :\n` },
    })
    mkdirSync(dirname(device.config), { recursive: true })
    device.writeConfig('10.213.7.7', `edge-${shell}`)
    const result = await device.run(['--uninstall', '--server', service.url], { env: admin })
    t.match(result.stdout, /running: \S+keadm reset edge --force\n/)
    t.match(result, { code: 0 })
  })
}
