import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type DemoOptions, readOptions } from '../../src/cli/demo/options.js'
import { type Service, startService } from '../support/service.js'

const program = fileURLToPath(new URL('../../bin/edge-ipam.mjs', import.meta.url))
const small = ['--sites', '3', '--nodes-per-site', '4']

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

function start(args: string[], env: Record<string, string> = {}): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program, 'demo', ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  return { child, ended: once(child, 'close').then(() => ({ code: child.exitCode, stdout, stderr })) }
}

/** Against a running service, or what stands in front of it. */
function demo(service: Service, args: string[], url = service.url): Promise<Ended> {
  return start(['--server', url, ...args], { EDGE_IPAM_TOKEN: service.adminToken }).ended
}

/** What a service holds that a run might leave behind. */
async function holdings(service: Service) {
  const pools = (await service.call('GET', '/v1/pools')).body.items
  return {
    nodes: (await service.call('GET', '/v1/nodes')).body.items.length,
    tokens: (await service.call('GET', '/v1/tokens')).body.items.length,
    pools: pools.map(({ name }: { name: string }) => name),
    allocated: pools.map(({ utilization }: { utilization: { allocated: number } }) => utilization.allocated),
  }
}

/** Stands in front of a service; `meddle` may answer itself (true), or change the text of an answer. */
async function proxy(
  t: Test,
  service: Service,
  meddle: {
    before?: (request: IncomingMessage, response: ServerResponse) => boolean
    after?: (path: string, text: string) => string
  },
): Promise<string> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (meddle.before?.(request, response)) return
    const { authorization = '', 'content-type': type, 'if-match': ifMatch } = request.headers
    const answer = await fetch(`${service.url}${request.url}`, {
      method: request.method!,
      headers: { authorization, ...(type && { 'content-type': type }), ...(ifMatch && { 'if-match': ifMatch }) },
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    })
    const text = await answer.text()
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
    response.end(meddle.after?.(request.url!, text) ?? text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('against a running service', async (t) => {
  const service = await startService(t)
  const fresh = await holdings(service)

  await t.test('tells the story in plain lines, and takes its nodes and tokens away', async (t) => {
    const { code, stdout, stderr } = await demo(service, small)
    t.equal(stderr, '')
    t.equal(code, 0)
    t.notMatch(stdout, /[\x1b\r]/, 'no colours and no bar without a terminal')
    t.match(stdout, 'All 12 nodes join at once.')
    t.match(stdout, '3 nodes have 192.168.1.10, one in each site')
    t.match(stdout, 'refused (409 address_quarantined)')
    t.match(stdout, '13 nodes, 5 display IPs, 13 unique IPs')
    t.match(stdout, 'Everything added up')
    t.match(stdout, '13 released addresses in quarantine')
    t.strictSame(await holdings(service), fresh)
    const { utilization } = (await service.call('GET', '/v1/pools/default')).body
    t.match(utilization, { allocated: 0, quarantined: 13 })
  })

  await t.test('gives one JSON result with the numbers', async (t) => {
    const { code, stdout, stderr } = await demo(service, [...small, '--output', 'json'])
    t.equal(stderr, '')
    t.equal(code, 0)
    const result = JSON.parse(stdout)
    t.match(result, {
      ok: true,
      problems: [],
      sites: 3,
      nodesPerSite: 4,
      nodes: 13,
      distinctDisplayIps: 5,
      distinctUniqueIps: 13,
      auditRows: {
        'allocation.created': 14,
        'allocation.registered': 14,
        'allocation.released': 1,
        'node.updated': 1,
      },
      timings: ['join', 'registration', 'look-up'].map((what) => ({ what, count: 12 })),
    })
    const beside = result.table.filter(({ displayIp }: { displayIp: string }) => displayIp === '192.168.1.11')
    t.equal(beside.length, 3)
    t.equal(new Set(beside.map(({ uniqueIp }: { uniqueIp: string }) => uniqueIp)).size, 3)
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('makes a pool of its own when asked, and removes it', async (t) => {
    const { code, stdout, stderr } = await demo(service, [...small, '--cidr', 'fd00:213::/64', '--output', 'json'])
    t.equal(stderr, '')
    t.equal(code, 0)
    const pool = JSON.parse(stdout).pools.find(({ cidr }: { cidr: string }) => cidr === 'fd00:213::/64')
    t.equal(pool.utilization.allocated, 13)
    t.match(stdout, '"capacity": 18446744073709551615,', 'counts are exact')
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('names the pool in the way of its own, and leaves nothing', async (t) => {
    const { code, stderr } = await demo(service, [...small, '--cidr', '10.213.4.0/24'])
    t.equal(code, 1)
    t.match(stderr, 'overlaps 10.213.0.0/16 of pool default')
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('says before it begins that the addresses do not suffice', async (t) => {
    const { code, stderr } = await demo(service, ['--sites', '1000', '--nodes-per-site', '100'])
    t.equal(code, 1)
    t.match(stderr, /needs 100001 free addresses, and there are \d+ /)
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('says that a token is not the right one', async (t) => {
    const wrong = await start(['--server', service.url, ...small], { EDGE_IPAM_TOKEN: 'not-the-token' }).ended
    t.equal(wrong.code, 1)
    t.match(wrong.stderr, 'does not know the token')
    const { body } = await service.call('POST', '/v1/tokens', { role: 'auditor' })
    const weak = await start(['--server', service.url, ...small], { EDGE_IPAM_TOKEN: body.secret }).ended
    t.equal(weak.code, 1)
    t.match(weak.stderr, 'forbidden')
    await service.call('DELETE', `/v1/tokens/${body.id}`)
  })

  await t.test('keeps the nodes when asked, but no tokens', async (t) => {
    const { code } = await demo(service, [...small, '--keep-nodes'])
    t.equal(code, 0)
    t.match(await holdings(service), { nodes: 13, tokens: fresh.tokens, allocated: [13] })
  })
})

t.test('what goes wrong', async (t) => {
  const service = await startService(t)
  const fresh = await holdings(service)

  await t.test('lost answers and a service that is away for a moment change nothing in the sums', async (t) => {
    let calls = 0
    const lost = new Set<string>()
    const url = await proxy(t, service, {
      before: (request, response) => {
        if (++calls % 7 === 0) response.writeHead(503, { 'retry-after': '0' }).end()
        else if (calls % 11 === 0) request.socket.destroy()
        else return false
        return true
      },
      // The change is made, and its answer is not JSON: as good as lost.
      after: (path, text) => {
        if (path !== '/v1/allocations' || lost.size >= 3 || lost.has(text)) return text
        lost.add(text)
        return text.slice(0, 20)
      },
    })
    const { code, stdout } = await demo(service, [...small, '--output', 'json'], url)
    t.equal(code, 0)
    const { retries, distinctUniqueIps } = JSON.parse(stdout)
    t.ok(retries > 0)
    t.equal(distinctUniqueIps, 13)
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('a unique IP in an answer to the console is found, and the exit code is 1', async (t) => {
    const secrets = new Set<string>()
    const url = await proxy(t, service, {
      after: (path, text) => {
        const { uniqueIp } = path === '/v1/allocations' ? JSON.parse(text) : {}
        if (uniqueIp) secrets.add(uniqueIp)
        if (!path.startsWith('/northbound') || !path.includes('displayIp=')) return text
        return text.replace('"labels":{', `"labels":{"hint":"see ${[...secrets][0]}.",`)
      },
    })
    const { code, stdout, stderr } = await demo(service, small, url)
    t.equal(code, 1)
    t.match(stdout, "WRONG the console's side saw 1 unique IP,")
    t.match(stdout, '1 thing did not add up')
    t.match(stderr, "the console's side saw 1 unique IP")
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('an address given twice is found', async (t) => {
    let first: string | undefined
    const url = await proxy(t, service, {
      after: (path, text) => {
        if (path !== '/v1/allocations') return text
        first ??= JSON.parse(text).uniqueIp
        return JSON.stringify({ ...JSON.parse(text), uniqueIp: first })
      },
    })
    const { code, stdout } = await demo(service, [...small, '--output', 'json'], url)
    t.equal(code, 1)
    const { ok, problems } = JSON.parse(stdout)
    t.equal(ok, false)
    t.match(problems[0], '12 of 12 nodes got a new address, 1 of them different')
    t.strictSame(await holdings(service), fresh)
  })

  await t.test('a run that is interrupted takes away what it made', async (t) => {
    let running: ChildProcess | undefined
    let calls = 0
    const url = await proxy(t, service, {
      before: (request) => {
        if (request.url?.endsWith('/registration') && ++calls === 5) running!.kill('SIGINT')
        return false
      },
    })
    const { child, ended } = start(['--server', url, ...small], { EDGE_IPAM_TOKEN: service.adminToken })
    running = child
    const { code, stderr } = await ended
    t.equal(code, 130)
    t.match(stderr, 'stopped by SIGINT')
    t.strictSame(await holdings(service), fresh)
  })
})

t.test('on a service of its own', async (t) => {
  await t.test('leaves no process and no folder', async (t) => {
    const folder = t.testdir({})
    const { code, stdout, stderr } = await start(small, {
      TMPDIR: folder,
      // Meant for the reader's own service.
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      EDGE_IPAM_POOL: '10.9.0.0/16',
    }).ended
    t.equal(stderr, '')
    t.equal(code, 0)
    t.match(stdout, 'default (10.213.0.0/16, 65,534 free)')
    t.match(stdout, 'Pool default: 13 allocated + 0 quarantined + 0 reserved + 65,521 free = 65,534.')
    t.strictSame(await readdir(folder), [])
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stdout)![0]
    await t.rejects(fetch(`${url}/livez`))
  })

  await t.test('ends it also when it is interrupted', async (t) => {
    const folder = t.testdir({})
    await mkdir(folder, { recursive: true })
    const { child, ended } = start(['--sites', '200'], { TMPDIR: folder })
    let stdout = ''
    child.stdout!.on('data', (chunk) => {
      stdout += chunk
      if (stdout.includes('join at once')) child.kill('SIGTERM')
    })
    const { code } = await ended
    t.equal(code, 143)
    t.strictSame(await readdir(folder), [])
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stdout)![0]
    await t.rejects(fetch(`${url}/livez`))
  })
})

t.test('wrong usage is refused with everything that is wrong', async (t) => {
  const many = await start(['--sites', '1', '--nodes-per-site', 'x', '--cidr', '10.0.0.1/8', '--output', 'xml']).ended
  t.equal(many.code, 2)
  t.equal(many.stdout, '')
  for (const part of ['--sites 1:', '--nodes-per-site x:', '--cidr 10.0.0.1/8:', '--output xml:']) {
    t.match(many.stderr, part)
  }
  const refused: [string[], RegExp][] = [
    [['--bogus'], /Unknown option '--bogus'/],
    [['word'], /Unexpected argument 'word'/],
    [['--keep-nodes'], /^--keep-nodes: /],
    [['--server', 'ftp://x'], /^--server: has to be a URL/],
    [['--server', 'http://x'], /^--server: the admin token is needed/],
  ]
  for (const [args, message] of refused) t.throws(() => readOptions(args, {}), { message }, args.join(' '))
  t.throws(() => readOptions(['--server', 'http://x'], { EDGE_IPAM_TOKEN: 'a', EDGE_IPAM_TOKEN_FILE: 'b' }), {
    message: /only one of them/,
  })
  t.equal((readOptions(['--server', 'http://x'], { EDGE_IPAM_TOKEN: 'a' }) as DemoOptions).server?.token, 'a')
  const help = await start(['--help']).ended
  t.equal(help.code, 0)
  t.match(help.stdout, 'Usage: edge-ipam demo')
})
