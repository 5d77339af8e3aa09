import t from 'tap'
import { startService } from '../support/service.js'
import { CLIENTS, makeDevice, missing, SHELLS } from './device.js'

// The script against the running service: every shell with every client, one service for all.

const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.213.0.0/16' } })

const api = service.call

async function joinToken(namePattern: string): Promise<string> {
  const { status, body } = await api('POST', '/v1/tokens', { role: 'join', namePattern })
  t.equal(status, 201, 'a join token is made')
  return body.secret
}

const token = await joinToken('edge-*')
const server = ['--server', service.url]
const cloudcore = ['--cloudcore-ipport=203.0.113.5:10000', '--token', 'kubeedge-secret']
const uniqueIp = async (name: string) => (await api('GET', `/v1/nodes/${name}`)).body.uniqueIp

for (const shell of SHELLS) {
  for (const client of CLIENTS) {
    const skip = missing(shell, client) ?? false

    t.test(
      `${shell} with ${client}: a device gets its address, joins with it, and gets it again`,
      { skip },
      async (t) => {
        const name = `edge-${shell}-${client}`
        const device = makeDevice(t, { shell, client, keadm: 'set' })
        const args = [
          ...server,
          '--node-name',
          name,
          '--display-ip',
          '192.168.1.10',
          '--label',
          'site=north',
          '--',
          ...cloudcore,
        ]

        const first = await device.run(args, { env: { EDGE_IPAM_TOKEN: token } })
        t.match(first, { code: 0, stderr: '' }, first.stdout)
        const node = (await api('GET', `/v1/nodes/${name}`)).body
        t.match(node, { displayIp: '192.168.1.10', labels: { site: 'north' }, state: 'allocated' })
        const expected = [`--edgenode-name=${name}`, '--set', `modules.edged.nodeIP=${node.uniqueIp}`, ...cloudcore]
        t.strictSame(device.joins(), [expected])
        t.match(first.stdout, `${name} has ${node.uniqueIp}\n`)

        const second = await device.run(args, { env: { EDGE_IPAM_TOKEN: token } })
        t.match(second, { code: 0, stderr: '' })
        t.match(second.stdout, `${name} has ${node.uniqueIp}, as before`)
        t.strictSame(device.joins(), [expected, expected])
      },
    )

    t.test(
      `${shell} with ${client}: what the service refuses ends with its own code and one line`,
      { skip },
      async (t) => {
        const device = makeDevice(t, { shell, client })
        const run = (args: string[], secret = token) =>
          device.run([...server, ...args], { env: { EDGE_IPAM_TOKEN: secret } })

        const unknown = await run(['--node-name', 'edge-1'], 'join_not-a-token-that-anybody-made-0123456789')
        // GNU wget drops the body of a 401, so that only curl can say more.
        const why =
          client === 'curl' ? /^join\.sh: the token was refused: .*\(unauthorized\); .*\n$/ : /^join\.sh: .* 401; .*\n$/
        t.match(unknown, { code: 8, stderr: why })
        const name = await run(['--node-name', 'other-1'])
        t.match(name, { code: 9, stderr: /^join\.sh: this token may not allocate for other-1: .*\(forbidden\); .*\n$/ })
        const pool = await run(['--node-name', 'edge-1', '--pool', 'no-such-pool'])
        t.match(pool, {
          code: 10,
          stderr: /^join\.sh: no address for edge-1 in pool no-such-pool: .*\(pool_not_found\); .*\n$/,
        })
        t.strictSame(device.joins(), [], 'keadm was never started')
      },
    )
  }

  const skip = missing(shell, 'curl') ?? false

  t.test(`${shell}: the script as served, from a pipe, joins`, { skip }, async (t) => {
    const name = `edge-${shell}-piped`
    const served = await fetch(`${service.url}/join.sh`)
    t.equal(served.headers.get('content-type'), 'text/x-shellscript; charset=utf-8')
    t.equal(served.headers.get('cache-control'), 'no-store')
    const device = makeDevice(t, { shell, keadm: 'flag' })
    const result = await device.run([...server, '--node-name', name, '--display-ip', 'none', '--', ...cloudcore], {
      piped: await served.text(),
      env: { EDGE_IPAM_TOKEN: token },
    })
    t.match(result, { code: 0, stderr: '' })
    t.strictSame(device.joins(), [[`--edgenode-name=${name}`, '--edgenode-ip', await uniqueIp(name), ...cloudcore]])
  })

  t.test(`${shell}: a dry run says each step, and keeps nothing`, { skip }, async (t) => {
    const name = `edge-${shell}-dry`
    const device = makeDevice(t, { shell, keadm: 'set' })
    const args = [...server, '--dry-run', '--node-name', name, '--display-ip', '192.168.1.10', '--', ...cloudcore]
    const result = await device.run(args, { env: { EDGE_IPAM_TOKEN: token } })
    t.match(result, { code: 0, stderr: '' })
    const lines = result.stdout.trimEnd().split('\n')
    t.equal(lines.length, 3, 'one line a step')
    t.match(lines[0], `would ask ${service.url} for a unique IP for node ${name}, display IP 192.168.1.10`)
    t.match(lines[1], /would get 10\.213\.\d+\.\d+ /)
    t.match(
      lines[2],
      /would run: .*keadm join --edgenode-name=\S+ --set modules\.edged\.nodeIP=10\.213\.\d+\.\d+ --cloudcore/,
    )
    t.notMatch(result.stdout, 'kubeedge-secret', "KubeEdge's own token is not shown either")
    t.equal((await api('GET', `/v1/nodes/${name}`)).status, 404)
    t.strictSame(device.joins(), [])
  })
}

t.test('a full pool is a conflict, and ends at once', { skip: missing('dash', 'curl') ?? false }, async (t) => {
  t.equal((await api('POST', '/v1/pools', { name: 'tiny', cidr: '10.99.0.1/32' })).status, 201)
  const device = makeDevice(t)
  const args = (name: string) => [...server, '--pool', 'tiny', '--node-name', name]
  t.equal((await device.run(args('edge-tiny-1'), { env: { EDGE_IPAM_TOKEN: token } })).code, 0)
  const second = await device.run(args('edge-tiny-2'), { env: { EDGE_IPAM_TOKEN: token } })
  t.match(second, {
    code: 11,
    stderr: /^join\.sh: no address for edge-tiny-2 in pool tiny: .*\(pool_exhausted\); .*\n$/,
  })
})
