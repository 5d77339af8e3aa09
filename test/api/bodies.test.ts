import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { repeatedField } from '../../src/http/body.js'
import { startService } from '../support/service.js'
import { give, makePool, paths, problem, raw, refusing, until } from './support.js'

const service = await startService(t)
await makePool(service, 'p', '10.95.0.0/24')
await give(service, 'known', { address: '10.95.0.5' })
const json = { 'content-type': 'application/json' }
const refused = await refusing(t, service)

refused('a body is refused where none is asked for, so that nothing it says is dropped', async (t) => {
  for (const [method, path] of [
    ['DELETE', '/v1/nodes/known/allocation'],
    ['DELETE', '/v1/allocations/10.95.0.5'],
    ['DELETE', '/v1/nodes/known'],
    ['DELETE', '/v1/pools/p'],
    ['DELETE', '/v1/pools/p/reservations/1'],
    ['DELETE', '/v1/tokens/none'],
    ['GET', '/v1/pools'],
    ['GET', '/v1/nodes/known'],
    ['GET', '/northbound/v1/nodes'],
    ['GET', '/livez'],
  ] as const) {
    for (const body of ['{"dryRun":true}', '[]', 'null']) {
      for (const headers of [json, { ...json, 'transfer-encoding': 'chunked' }]) {
        const answer = await raw(service, method, path, { headers, body })
        problem(t, answer, 400, 'validation_failed', `${method} ${path} ${body}`)
        t.same(paths(answer), [''])
      }
    }
  }
  problem(t, await raw(service, 'DELETE', '/v1/nodes/known', { headers: json, body: '{' }), 400, 'malformed_json')
  const untyped = await raw(service, 'DELETE', '/v1/nodes/known', { body: '{}' })
  problem(t, untyped, 415, 'unsupported_media_type')
})

refused('the type of a body that is not there does not matter', async (t) => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense']) {
    for (const headers of [{ 'content-type': type }, { 'content-type': type, 'content-length': '0' }]) {
      const registers = await raw(service, 'POST', '/v1/nodes/known/registration?dryRun=true', { headers })
      t.equal(registers.status, 200, type)
      t.equal((await raw(service, 'DELETE', '/v1/nodes/known?dryRun=true', { headers })).status, 204, type)
      t.equal((await raw(service, 'GET', '/v1/pools', { headers })).status, 200, type)
    }
  }
})

refused('what is JSON in another dress is not taken', async (t) => {
  for (const type of ['application/problem+json', 'application/merge-patch+json', 'application/json-patch+json']) {
    const headers = { 'content-type': type }
    const answer = await raw(service, 'PATCH', '/v1/nodes/known', { headers, body: '{"displayIp":null}' })
    problem(t, answer, 415, 'unsupported_media_type', type)
  }
})

refused('a field that stands twice is refused, and named', async (t) => {
  const cases: [string, string, string, string][] = [
    ['POST', '/v1/allocations', '{"nodeName":"a","nodeName":"a"}', '/nodeName'],
    ['POST', '/v1/allocations', '{"nodeName":"a","labels":{"x":"1","y":"2","x":"3"}}', '/labels/x'],
    ['POST', '/v1/allocations', '{"nodeName":"a","node\\u004eame":"b"}', '/nodeName'],
    [
      'POST',
      '/v1/allocations/batch',
      '{"items":[{"nodeName":"a"},{"nodeName":"b","nodeName":"c"}]}',
      '/items/1/nodeName',
    ],
    ['POST', '/v1/pools', '{"name":"x","cidr":"10.9.0.0/24","cidr":"10.8.0.0/24"}', '/cidr'],
    ['PATCH', '/v1/nodes/known', '{"labels":{"a/b":"x","a/b":null}}', '/labels/a~1b'],
    ['PATCH', '/northbound/v1/nodes/known', '{"labels":{"10.95.0.5":"x","10.95.0.5":"y"}}', ''],
    ['PUT', '/v1/networks', '{"items":[],"items":[]}', '/items'],
    ['DELETE', '/v1/nodes/known', '{"force":true,"force":false}', '/force'],
  ]
  for (const [method, path, body, pointer] of cases) {
    const answer = await raw(service, method, path, { headers: json, body })
    problem(t, answer, 400, 'validation_failed', `${method} ${path} ${body}`)
    t.same(paths(answer), [pointer])
    if (path.startsWith('/northbound')) t.notMatch(answer.text, '10.95.0.5')
  }
})

t.test('names that only look as if they stood twice', async (t) => {
  for (const text of [
    '{"a":"a","b":"a"}',
    '[{"a":1},{"a":1}]',
    '{"a":{"a":{"a":1}},"b":{"a":1}}',
    '{"a":["a","a",{"b":"a"}],"b":"\\"a\\":1,\\"a\\":2"}',
    '{"a\\\\":1,"a":2}',
    '["a","a"]',
    '"a"',
    '{}',
    ' { "a" : [ ] , "b" : { } , "c" : "}" } ',
  ]) {
    t.equal(repeatedField(text), undefined, text)
  }
  t.equal(repeatedField('{"a":[0,[{"b":1},{"b":{},"b":2}]]}'), '/a/1/1/b')
  t.equal(repeatedField('{"":1,"x":"\\\\","":2}'), '/')
})

t.test('a method that hardly anybody knows is 405 like any other', async (t) => {
  for (const method of ['PROPFIND', 'SEARCH', 'LOCK', 'PURGE', 'OPTIONS', 'TRACE']) {
    const answer = await raw(service, method, '/v1/pools/p')
    problem(t, answer, 405, 'method_not_allowed', method)
    t.equal(answer.headers.get('allow'), 'DELETE, GET, HEAD, PATCH')
    problem(t, await raw(service, method, '/v1/nothing'), 404, 'route_not_found', method)
  }
})

for (const [what, request] of [
  ['no HTTP', 'GET / nonsense\r\n\r\n'],
  ['too long a head', `GET /livez HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`],
] as const) {
  t.test(`${what} is answered with a problem and a request id, too`, async (t) => {
    const { hostname, port } = new URL(service.url)
    const text = await new Promise<string>((resolve, reject) => {
      let seen = ''
      const socket = connect(Number(port), hostname, () => socket.write(request))
      socket.on('data', (chunk) => {
        seen += chunk
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(seen))
    })
    const [head = '', body = ''] = text.split('\r\n\r\n')
    t.match(head, /^HTTP\/1\.1 400 /)
    t.match(head, /^content-type: application\/problem\+json/im)
    const { requestId, ...rest } = JSON.parse(body)
    t.match(rest, { status: 400, code: 'validation_failed' })
    t.match(head, `x-request-id: ${requestId}`)
  })
}

t.test('an empty body is none, also where only its end says so, and an empty object says nothing', async (t) => {
  for (const headers of [{}, { 'content-type': 'application/x-www-form-urlencoded' }]) {
    const chunked = { ...headers, 'transfer-encoding': 'chunked' }
    const registered = await raw(service, 'POST', '/v1/nodes/known/registration', { headers: chunked })
    t.equal(registered.status, 200, registered.text)
    const said = await raw(service, 'POST', '/v1/nodes/known/registration', { headers: chunked, body: 'nodeUid=1' })
    problem(t, said, 415, 'unsupported_media_type')
  }
  t.equal((await raw(service, 'DELETE', '/v1/tokens/none', { headers: json, body: '{}' })).status, 404)
})

t.test('what follows a good request and is no HTTP is not answered in its place', async (t) => {
  const body = JSON.stringify({ nodeName: 'pipelined' })
  const { hostname, port } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  let answer = ''
  socket.on('data', (data) => (answer += data))
  socket.write(
    `POST /v1/allocations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${service.adminToken}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}garbage\r\n\r\n`,
  )
  await new Promise((resolve) => socket.on('close', resolve).on('error', () => {}))
  t.notMatch(answer, 'cannot be read as HTTP')
})

t.test('who hangs up while sending is no trouble of ours in the log', async (t) => {
  const { hostname, port } = new URL(service.url)
  const before = service.lines.length
  const socket = connect(Number(port), hostname)
  socket.write(
    `POST /v1/allocations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${service.adminToken}\r\nexpect: 100-continue\r\n` +
      'content-type: application/json\r\ncontent-length: 1000\r\nx-request-id: hangs-up\r\n\r\n{"nodeName":',
  )
  // "100 Continue": its head has come.
  await once(socket, 'data')
  socket.destroy()
  const ofIt = () => service.lines.slice(before).filter((line) => line.includes('hangs-up'))
  await until('the line of the request', () => ofIt().length > 0)
  t.same(
    ofIt().filter((line) => JSON.parse(line).level >= 40),
    [],
  )
})
