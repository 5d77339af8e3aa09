import t, { type Test } from 'tap'
import { startService } from '../support/service.js'
import { missing, SHELLS, type Shell } from './device.js'
import { HOST_ADDRESS, makeEdgeDevice } from './versions/device.js'
import { KUBEEDGE } from './versions/kubeedge.js'
import { KUBESPHERE } from './versions/kubesphere.js'
import type { Release } from './versions/release.js'

// Every KubeEdge release that edge nodes join with: the real script and the real service, and a keadm that takes exactly the
// flags of that release. What each release does was read in its sources; the rows name them.

const service = await startService(t)
const api = service.call
const made = await api('POST', '/v1/tokens', { role: 'join', namePattern: 'edge-*' })
const token: string = made.body.secret

/** Releases that stand for a way of setting the address run in every shell, the others in dash. */
const IN_EVERY_SHELL = ['v1.10.3', 'v1.12.1', 'v1.18.0', 'v1.9.2-kubesphere']
const ROWS = [...KUBEEDGE, ...KUBESPHERE].flatMap((release) =>
  (IN_EVERY_SHELL.includes(release.tag) ? SHELLS : (['dash'] as const)).map((shell) => ({ release, shell })),
)

/** What a user gives to keadm: all that this release takes of it, spelled in its different ways. */
function userArguments({ join }: Release): string[] {
  const has = (name: string) => join.some((flag) => flag.name === name)
  return [
    '--cloudcore-ipport=203.0.113.5:10000',
    '-t',
    'kubeedge-secret',
    '--remote-runtime-endpoint',
    'unix:///run/containerd/containerd.sock',
    ...(has('labels') ? ['-l', 'site=north,rack=7'] : []),
    ...(has('runtimetype') ? ['-r', 'docker'] : []),
    ...(has('with-edge-taint') ? ['--with-edge-taint', '--quicport', '30001'] : []),
    ...(has('pre-run') ? ["--pre-run=./it's mine.sh"] : []),
  ]
}

let devices = 0

/** A device, the name of its node, and the script with what it needs. */
function setUp(t: Test, release: Release, shell: Shell) {
  const name = `edge-${++devices}`
  const device = makeEdgeDevice(t, release, shell)
  const options = ['--server', service.url, '--node-name', name]
  // The script puts these and its own into one --set.
  const sets = release.way === '--set' ? ['--set', 'modules.edgeStream.enable=true'] : []
  const run = (secret: string, ...more: string[]) =>
    device.run([...options, ...more], { env: { EDGE_IPAM_TOKEN: secret } })
  return {
    ...device,
    name,
    join: (...more: string[]) => run(token, ...more, '--', ...sets, ...userArguments(release)),
    act: (action: '--check' | '--uninstall', secret = token) => run(secret, action),
    joinByHand: () => device.keadm('join', '-i', name, ...userArguments(release)),
    node: async () => (await api('GET', `/v1/nodes/${name}`)).body,
    allocations: async (): Promise<{ uniqueIp: string; state: string }[]> =>
      (await api('GET', `/v1/allocations?nodeName=${name}`)).body.items,
  }
}

type Device = ReturnType<typeof setUp>

/** edgecore runs, and reports the one address that the service has for it. */
async function checkJoined(t: Test, device: Device): Promise<string> {
  const allocations = await device.allocations()
  t.equal(allocations.length, 1, 'one allocation')
  const { uniqueIp } = allocations[0]!
  t.strictSame(device.starts().at(-1), { node: device.name, reports: uniqueIp }, 'edgecore reports the unique IP')
  t.ok(device.isRunning(), 'edgecore runs')
  t.match(device.readConfig(), new RegExp(`^ {4}nodeIP: ["']?${uniqueIp}["']?$`, 'm'))
  checkCalls(t, device)
  return uniqueIp
}

/** What holds whatever was done: no word that keadm does not know, and the service's token nowhere. */
function checkCalls(t: Test, device: Device) {
  const refused = device.keadmCalls().filter(({ code }) => code !== 0)
  t.strictSame(refused, [], 'keadm knows every word it was called with')
  const told = JSON.stringify([device.keadmCalls(), device.asked('systemctl'), device.asked('ip'), device.readConfig()])
  for (const secret of [token, service.adminToken])
    t.notOk(told.includes(secret), 'the token of the service is nowhere')
}

// A row waits for its processes most of the time.
t.jobs = 2

for (const { release, shell } of ROWS) {
  const { name, tag, way } = release
  const options = { skip: missing(shell, 'curl') ?? false, buffered: true }
  t.test(`${name} (${tag}, ${way}) in ${shell}`, options, async (t) => {
    t.test('a device joins, joins again, is checked, leaves and comes back', async (t) => {
      const device = setUp(t, release, shell)
      const result = await device.join()
      t.match(result, { code: 0, stderr: '' }, result.stdout)
      const uniqueIp = await checkJoined(t, device)
      const reported = new Set(device.starts().map(({ reports }) => reports))
      t.strictSame([...reported], [uniqueIp], 'edgecore has never run with another address')
      const expected = userArguments(release)
      t.strictSame(device.joins()[0]!.words.slice(-expected.length), expected, 'what comes after -- is passed on')
      if (way === '--set') t.match(device.readConfig(), '\n  edgeStream:\n    enable: true\n', "the user's --set, too")
      t.equal(device.hasInterface('edge-ipam0'), way === 'edit and interface')

      const config = device.readConfig()
      t.match(await device.join(), { code: 0, stderr: '' }, 'joined again')
      t.equal(await checkJoined(t, device), uniqueIp)
      t.equal(device.joins().length, 1, 'keadm join was not run again')
      t.equal(device.starts().length, 1, 'edgecore was left alone')
      t.equal(device.readConfig(), config)
      t.match(await device.act('--check'), { code: 0, stderr: '' }, 'checked')

      device.reboot()
      t.equal(await checkJoined(t, device), uniqueIp, 'after a reboot')

      const left = await device.act('--uninstall', service.adminToken)
      t.match(left, { code: 0, stderr: '', stdout: /released / }, 'uninstalled')
      t.match(await device.node(), { uniqueIp: null })
      t.equal(device.readConfig(), null)
      t.equal(device.isRunning(), false)
      t.equal(device.hasInterface('edge-ipam0'), false)
      t.strictSame(device.enabled(), [])

      t.match(await device.join(), { code: 0, stderr: '' }, 'it comes back')
      t.equal(await checkJoined(t, device), uniqueIp, 'the address that it had')
    })

    // The rest is the same in every shell as soon as this is.
    if (shell !== 'dash') return

    t.test('a dry run says what it would do, and does nothing', async (t) => {
      const device = setUp(t, release, shell)
      const result = await device.join('--dry-run')
      t.match(result, { code: 0, stderr: '', stdout: /would run: \S*keadm join / })
      t.notMatch(result.stdout, 'kubeedge-secret')
      t.strictSame([device.joins(), device.starts(), await device.allocations()], [[], [], []])
      t.equal(device.readConfig(), null)
      t.equal(device.hasInterface('edge-ipam0'), false)
      checkCalls(t, device)
    })

    t.test('a join that lost its power is undone by --uninstall, and done again', async (t) => {
      const device = setUp(t, release, shell)
      device.letPowerFail()
      t.match(await device.join(), { code: null })
      t.not(device.readConfig(), null, 'keadm was in the middle of it')
      device.reboot()
      t.match(await device.act('--uninstall'), { code: 0, stderr: '' })
      t.equal(device.readConfig(), null)
      t.match(await device.join(), { code: 0, stderr: '' })
      await checkJoined(t, device)
    })

    t.test('a device that was joined by hand keeps its address until it is meant otherwise', async (t) => {
      const device = setUp(t, release, shell)
      device.joinByHand()
      t.strictSame(device.starts(), [{ node: device.name, reports: HOST_ADDRESS }])
      const config = device.readConfig()
      t.match(await device.act('--check'), { code: 17, stderr: /^join\.sh: [^\n]+\n$/ })
      const result = await device.join()
      t.match(result, { code: 17, stderr: /^join\.sh: this device is [^\n]*--readdress[^\n]*\n$/ }, result.stdout)
      t.equal(device.readConfig(), config)
      t.equal(device.starts().length, 1)

      const readdressed = await device.join('--readdress')
      t.match(readdressed, { code: 0, stderr: '' }, readdressed.stdout)
      await checkJoined(t, device)
      t.equal(device.starts().length, 2)
      t.equal(device.joins().length, 1)

      device.systemctl('stop', 'edgecore')
      const left = await device.act('--uninstall')
      t.match(
        left,
        { code: 0, stderr: '', stdout: /may not release .*administrator/ },
        'edgecore not running, no right',
      )
      t.equal(device.readConfig(), null, 'also where keadm reset leaves everything')
      t.equal((await device.allocations()).length, 1, 'the address stays')
      checkCalls(t, device)
    })
  })
}
