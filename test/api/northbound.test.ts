import { connect } from 'node:net'
import t from 'tap'
import { startService } from '../support/service.js'
import { fresh, give, makePool, problem, raw, tokenOf, until } from './support.js'

const service = await startService(t)
const { secret: token } = await tokenOf(service, 'northbound')
const northbound: typeof service.call = (method, path, body, options) =>
  service.call(method, path, body, { token, ...options })

// Unique IPs that nothing else could be mistaken for.
await makePool(service, 'v4', '203.0.113.0/24', { priority: 1, nodeSelector: { family: '4' } })
await makePool(service, 'v6', 'fd12:3456:789a::/48', { priority: 1, nodeSelector: { family: '6' } })
const secretV4 = '203.0.113.77'
const secretV6 = 'fd12:3456:789a::c0de'
await give(service, 'node-4', { address: secretV4, displayIp: '192.168.1.10', labels: { site: 'a' } })
await give(service, 'node-6', { address: secretV6, displayIp: 'fd00::10' })
await give(service, 'node-bare', { labels: { family: '4' } })
await give(service, 'node-gone', { address: '203.0.113.99', displayIp: '192.168.1.10' })
await service.call('DELETE', '/v1/nodes/node-gone/allocation')

const spellings = /203\.0\.113\.|fd12:3456:789a|c0de/i

t.test('the internal IP of a node is its display IP', async (t) => {
  const answer = await northbound('GET', '/northbound/v1/nodes/node-4')
  t.equal(answer.status, 200)
  const { joinedAt, ...rest } = answer.body
  t.same(rest, { name: 'node-4', internalIp: '192.168.1.10', labels: { site: 'a' }, state: 'allocated' })
  t.ok(joinedAt === null || /Z$/.test(joinedAt))
  t.match((await northbound('GET', '/northbound/v1/nodes/node-bare')).body, { internalIp: null })
  problem(t, await northbound('GET', '/northbound/v1/nodes/nobody'), 404, 'node_not_found')
})

t.test('the list has every node, the released ones too, until they are forgotten', async (t) => {
  const names = async (query = '') =>
    (await northbound('GET', `/northbound/v1/nodes${query}`)).body.items.map((item: { name: string }) => item.name)
  t.same(await names(), ['node-4', 'node-6', 'node-bare', 'node-gone'])
  t.same(await names('?displayIp=192.168.1.10'), ['node-4', 'node-gone'])
  t.same(await names('?search=NODE-b'), ['node-bare'])
  t.same(await names('?search=168.1'), ['node-4', 'node-gone'])
  await give(service, 'node-forgotten')
  await service.call('DELETE', '/v1/nodes/node-forgotten')
  t.same(await names('?search=forgotten'), [])
})

t.test('a search for a unique IP finds nothing: a hit would tell one', async (t) => {
  for (const search of [secretV4, '203.0', '.77', secretV6, 'c0de', 'fd12']) {
    t.same((await northbound('GET', `/northbound/v1/nodes?search=${search}`)).body.items, [], search)
  }
  for (const address of [secretV4, secretV6]) {
    t.same((await northbound('GET', `/northbound/v1/nodes?displayIp=${address}`)).body.items, [], address)
  }
  problem(t, await northbound('GET', `/northbound/v1/nodes?uniqueIp=${secretV4}`), 400, 'validation_failed')
})

t.test('display IP and labels can be changed from here, and nothing else', async (t) => {
  const patch = (body: unknown) => northbound('PATCH', '/northbound/v1/nodes/node-bare', body)
  const changed = await patch({ displayIp: '192.168.1.20', labels: { floor: '2' } })
  t.equal(changed.status, 200)
  t.match(changed.body, { name: 'node-bare', internalIp: '192.168.1.20', labels: { family: '4', floor: '2' } })
  t.same((await patch({ labels: { floor: null } })).body.labels, { family: '4' })
  t.equal((await patch({ displayIp: null })).body.internalIp, null)
  for (const body of [
    { uniqueIp: '10.0.0.1' },
    { nodeUid: 'x' },
    { internalIp: '10.0.0.1' },
    { state: 'registered' },
  ]) {
    problem(t, await patch(body), 400, 'validation_failed', JSON.stringify(body))
  }
  problem(t, await northbound('PATCH', '/northbound/v1/nodes/nobody', {}), 404, 'node_not_found')
  const headers = { 'if-match': '"stale"' }
  const stale = await northbound('PATCH', '/northbound/v1/nodes/node-bare', { displayIp: null }, { headers })
  problem(t, stale, 412, 'precondition_failed')
})

t.test('no answer carries a unique IP, whatever was sent', async (t) => {
  const hostile = [
    secretV4,
    secretV6,
    encodeURIComponent(secretV6),
    `node-${secretV4}`,
    `${secretV4}%00`,
    `%2e%2e/${secretV4}`,
    `${secretV4}/../node-4`,
    `node-4?${secretV4}=1`,
    `node-4?x=${secretV4}`,
    `node-4/${secretV4}`,
    `%zz${secretV4}`,
    `${secretV4}%`,
    `a`.repeat(2000) + secretV4,
  ]
  const bodies = [
    { displayIp: `${secretV4}/32` },
    { displayIp: `0${secretV4}` },
    { displayIp: `::ffff:${secretV4}` },
    { [secretV4]: 1 },

    { labels: { [`${secretV4}!`]: 'x' } },
    { labels: { x: `${secretV4}!` } },
    { labels: { [`x/${secretV6}`]: 1 } },
    { displayIp: { [secretV4]: 1 } },
    `{"${secretV4}`,
    `"${secretV4}"`,
    `[${secretV4}]`,
  ]
  const answers: [string, { status: number; headers: Headers; text: string }][] = []
  const ask = async (method: string, path: string, more: Parameters<typeof raw>[3] = {}) => {
    const headers = { authorization: `Bearer ${token}`, ...more.headers }
    answers.push([`${method} ${path.slice(0, 100)}`, await raw(service, method, path, { ...more, headers })])
  }
  await ask('GET', '/northbound/v1/nodes')
  for (const name of ['node-4', 'node-6', 'node-bare', 'node-gone']) await ask('GET', `/northbound/v1/nodes/${name}`)
  for (const text of hostile) {
    for (const method of ['GET', 'PATCH', 'DELETE', 'POST']) await ask(method, `/northbound/v1/nodes/${text}`)
    await ask('GET', `/northbound/${text}`)
    await ask('GET', `/Northbound/v1/nodes/${text}`)
    await ask('GET', `//northbound/v1/nodes/${text}`)
    await ask('GET', `/northbound/v1/nodes?cursor=${text}`)
    await ask('GET', `/northbound/v1/nodes?limit=${text}`)
    await ask('GET', `/northbound/v1/nodes?search=${text}`)
    await ask('GET', `/northbound/v1/nodes?displayIp=${text}`)
    await ask('GET', `/northbound/v1/nodes?${text}=1`)
    await ask('GET', `/northbound/v1/nodes?displayIp=${text}&displayIp=${text}`)
  }
  for (const body of bodies) {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    await ask('PATCH', '/northbound/v1/nodes/node-4', { headers: { 'content-type': 'application/json' }, body: text })
    await ask('PATCH', `/northbound/v1/nodes/node-4?dryRun=${secretV4}`, {
      headers: { 'content-type': 'application/json' },
      body: text,
    })
  }
  for (const header of [
    'if-match',
    'x-request-id',
    'content-type',
    'accept',
    'authorization',
    'host',
    'x-forwarded-for',
    'origin',
    'cookie',
  ]) {
    await ask('PATCH', '/northbound/v1/nodes/node-4', { headers: { [header]: secretV4 }, body: '{}' })
    await ask('GET', '/northbound/v1/nodes/nobody', { headers: { [header]: secretV4 } })
  }
  for (const [name, answer] of answers) {
    const all = `${[...answer.headers].map(([key, value]) => `${key}: ${value}`).join('\n')}\n\n${answer.text}`
    t.notMatch(all, spellings, `${answer.status} ${name}`)
    t.ok(answer.status < 500, `${name}: ${answer.status}`)
  }
  t.ok(answers.some(([, answer]) => answer.status === 200) && answers.some(([, answer]) => answer.status === 400))
})

t.test('the log says the route, never the unique IP', async (t) => {
  const mark = service.lines.length
  const requestId = fresh('northbound')
  await raw(service, 'GET', `/northbound/v1/nodes/${encodeURIComponent(secretV6)}?x=${secretV4}`, {
    headers: { authorization: `Bearer ${token}`, 'x-request-id': requestId, 'user-agent': secretV4, referer: secretV4 },
  })
  const line = await until('the request is logged', () => service.lines.find((one) => one.includes(requestId)) ?? false)
  t.match(line, '/northbound/v1/nodes/:name')
  t.ok(service.lines.length > mark)
  // Nothing but northbound requests was sent with these addresses in it, after the allocations were made.
  const told = service.lines.filter((one) => spellings.test(one))
  t.same(told, [], 'no line of the log has one')
})

t.test('what is not HTTP is not repeated either', async (t) => {
  const { hostname, port } = new URL(service.url)
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.end(`GET /northbound/${secretV4} HTP/1.1 ${secretV4}\r\n\r\n`),
    )
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
  t.match(answer, /^HTTP\/1\.1 400 /)
  t.match(answer, 'application/problem+json')
  t.notMatch(answer, spellings)
  t.same(
    service.lines.filter((one) => spellings.test(one)),
    [],
  )
})

t.test('what is no route under /northbound is a problem like any other', async (t) => {
  for (const path of [
    '/northbound',
    '/northbound/',
    '/northbound/v1',
    '/northbound/v2/nodes',
    `/northbound/v1/nodes/${secretV4}/unique-ip`,
  ]) {
    problem(t, await northbound('GET', path), 404, 'route_not_found', path)
  }
  for (const method of ['DELETE', 'PUT', 'POST']) {
    const answer = await northbound(method, '/northbound/v1/nodes/node-4')
    problem(t, answer, 405, 'method_not_allowed', method)
    t.match(answer.headers.get('allow'), /GET.*PATCH/)
  }
})

t.test('the ETag of a node tells nothing of what it holds', async (t) => {
  await give(service, 'tagged')
  const { body, headers } = await service.call('GET', '/northbound/v1/nodes/tagged')
  t.equal(body.name, 'tagged')
  const etag = headers.get('etag')!
  t.match(etag, /^"[\w-]{22}"$/)
  const stale = { 'if-match': '"1-1-allocated"' }
  problem(
    t,
    await service.call('PATCH', '/northbound/v1/nodes/tagged', { displayIp: '192.168.1.9' }, { headers: stale }),
    412,
    'precondition_failed',
  )
  const moved = await service.call(
    'PATCH',
    '/northbound/v1/nodes/tagged',
    { displayIp: '192.168.1.9' },
    { headers: { 'if-match': etag } },
  )
  t.equal(moved.status, 200)
  t.not(moved.headers.get('etag'), etag)
})
