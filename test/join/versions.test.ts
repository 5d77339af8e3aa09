import t, { type Test } from 'tap'
import { startService } from '../support/service.js'
import { missing, SHELLS, type Shell } from './device.js'
import { makeEdgeDevice } from './versions/device.js'
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
const ROWS = [...KUBEEDGE, ...KUBESPHERE]
  .filter(({ way }) => !way.startsWith('edit'))
  .flatMap((release) =>
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

function setUp(t: Test, release: Release, shell: Shell) {
  const name = `edge-${++devices}`
  const device = makeEdgeDevice(t, release, shell)
  const options = ['--server', service.url, '--node-name', name]
  const keadm = userArguments(release)
  const run = (...more: string[]) =>
    device.run([...options, ...more, ...(more.includes('--') ? [] : ['--', ...keadm])], {
      env: { EDGE_IPAM_TOKEN: token },
    })
  const allocations = async (): Promise<{ uniqueIp: string; state: string }[]> =>
    (await api('GET', `/v1/allocations?nodeName=${name}`)).body.items
  return { ...device, name, keadm, run, allocations }
}

type Device = ReturnType<typeof setUp>

/** What must hold whatever was done: no word that keadm does not know, and the service's token nowhere. */
function checkCalls(t: Test, device: Device) {
  t.strictSame(
    device.keadmCalls().filter(({ code }) => code !== 0),
    [],
    'keadm knows every word it was called with',
  )
  const told = JSON.stringify([device.keadmCalls(), device.asked('systemctl'), device.asked('ip'), device.readConfig()])
  t.notOk(told.includes(token), "the service's token is in no argument, no environment and no file")
}

/** edgecore runs, and reports the one address that the service has for it. */
async function checkJoined(t: Test, device: Device) {
  const allocations = await device.allocations()
  t.equal(allocations.length, 1, 'one allocation')
  const { uniqueIp } = allocations[0]!
  t.strictSame(device.starts().at(-1), { node: device.name, reports: uniqueIp }, 'edgecore reports the unique IP')
  t.ok(device.isRunning())
  t.match(device.readConfig(), new RegExp(`^ {4}nodeIP: ["']?${uniqueIp}["']?$`, 'm'))
  checkCalls(t, device)
  return uniqueIp
}

for (const { release, shell } of ROWS) {
  const title = `${release.name} (${release.tag}, ${release.way}) in ${shell}`
  t.test(title, { skip: missing(shell, 'curl') ?? false }, async (t) => {
    t.test('a device joins, and never runs with another address', async (t) => {
      const device = setUp(t, release, shell)
      const result = await device.run()
      t.match(result, { code: 0, stderr: '' }, result.stdout)
      const uniqueIp = await checkJoined(t, device)
      t.strictSame([...new Set(device.starts().map(({ reports }) => reports))], [uniqueIp])
      const joins = device.joins()
      t.equal(joins.length, 1)
      t.strictSame(joins[0]!.words.slice(-device.keadm.length), device.keadm, 'the arguments after -- are passed on')

      const config = device.readConfig()
      const again = await device.run()
      t.match(again, { code: 0, stderr: '' }, 'joined again')
      t.equal(await checkJoined(t, device), uniqueIp)
      t.equal(device.joins().length, 1, 'keadm join was not run again')
      t.equal(device.starts().length, 1, 'edgecore was left alone')
      t.equal(device.readConfig(), config)
    })

    t.test('a dry run says which way it is, and changes nothing', async (t) => {
      const device = setUp(t, release, shell)
      const result = await device.run('--dry-run')
      t.match(result, { code: 0, stderr: '' })
      t.match(result.stdout, /would run: \S*keadm join /)
      t.notMatch(result.stdout, 'kubeedge-secret')
      t.strictSame(device.joins(), [])
      t.strictSame(device.starts(), [])
      t.equal(device.readConfig(), null)
      t.strictSame(await device.allocations(), [])
      checkCalls(t, device)
    })
  })
}
