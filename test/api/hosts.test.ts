import t from 'tap'
import { startService } from '../support/service.js'
import { problem } from './support.js'

t.test('GET /v1/hosts', async (t) => {
  const service = await startService(t)
  const allocate = async (nodeName: string, address?: string) =>
    (await service.call('POST', '/v1/allocations', { nodeName, ...(address && { address }) })).body.uniqueIp

  await t.test('is empty when nobody holds anything', async (t) => {
    const { status, text, headers } = await service.call('GET', '/v1/hosts')
    t.equal(status, 200)
    t.equal(text, '')
    t.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
  })

  const c = await allocate('c', '10.213.0.10')
  const a = await allocate('a', '10.213.0.9')
  await allocate('b')
  await service.call('DELETE', '/v1/nodes/b/allocation')

  await t.test('has every node that holds an address now, by name', async (t) => {
    const { text } = await service.call('GET', '/v1/hosts')
    t.equal(text, `${a} a.edge.internal\n${c} c.edge.internal\n`)
  })
  await t.test('with another suffix, or none', async (t) => {
    const other = await service.call('GET', '/v1/hosts?suffix=edge.example.com')
    t.equal(other.text, `${a} a.edge.example.com\n${c} c.edge.example.com\n`)
    t.equal((await service.call('GET', '/v1/hosts?suffix=.')).text, `${a} a\n${c} c\n`)
    for (const wrong of ['', '-', 'a b', 'UPPER', 'a..b', '.edge', `${'x'.repeat(64)}.internal`]) {
      problem(t, await service.call('GET', `/v1/hosts?suffix=${encodeURIComponent(wrong)}`), 400, 'validation_failed')
    }
  })
  await t.test('has another ETag when, and only when, it says something else', async (t) => {
    const etag = async (query = '') => (await service.call('GET', `/v1/hosts${query}`)).headers.get('etag')
    const before = await etag()
    await service.call('PATCH', '/v1/nodes/a', { displayIp: '192.168.1.10' })
    t.equal(await etag(), before)
    t.not(await etag('?suffix=.'), before)
    await service.call('DELETE', '/v1/nodes/c/allocation')
    t.not(await etag(), before)
  })
  await t.test('leaves out what is too long for a name of DNS', async (t) => {
    const part = 'x'.repeat(63)
    const longest = `${part}.${part}.${part}.${'x'.repeat(253 - 3 * 64 - '.edge.internal'.length)}`
    await allocate(`${part}y.z`)
    await allocate(`${longest}x`)
    const held = await allocate(longest)
    t.equal((await service.call('GET', '/v1/hosts')).text, `${a} a.edge.internal\n${held} ${longest}.edge.internal\n`)
  })
  await t.test('is for administrators, auditors and cloudcore', async (t) => {
    const as = async (role: string) => {
      const made = await service.call('POST', '/v1/tokens', { role })
      return (await service.call('GET', '/v1/hosts', undefined, { token: made.body.secret })).status
    }
    t.strictSame(await Promise.all(['auditor', 'cloudcore', 'join', 'northbound'].map(as)), [200, 200, 403, 403])
  })
})

t.test('EDGE_IPAM_HOSTS_SUFFIX is what comes after names', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_HOSTS_SUFFIX: 'edge.example.com' } })
  await service.call('POST', '/v1/allocations', { nodeName: 'a' })
  t.equal((await service.call('GET', '/v1/hosts')).text, '10.213.0.1 a.edge.example.com\n')
})
