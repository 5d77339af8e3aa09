import pg from 'pg'
import t, { type Test } from 'tap'
import { until } from '../faults/support.js'
import { ask, like, post, recording, startWithHook } from './support.js'

const status = recording('registration')[2]

/** Has nobody else read or write nodes and allocations until it is told to end. */
async function holdUp(t: Test, databaseUrl: string): Promise<() => Promise<unknown>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  await client.query('lock table nodes, allocations in access exclusive mode')
  return () => client.query('commit')
}

t.test('what is known is answered without the database, until it changes', async (t) => {
  const service = await startWithHook(t)
  const { call } = service
  const { body: held } = await call('POST', '/v1/allocations', { nodeName: 'edge1' })
  await call('POST', '/v1/allocations', { nodeName: 'edge2' })
  const own = like(status, { addresses: [held.uniqueIp] })
  const other = like(status, { name: 'edge2' })
  // The first writes of a node change what is known of it.
  for (const review of [own, other, own, other]) await ask(t, service, review)
  await until('what they changed is known', async () => {
    await ask(t, service, own)
    await ask(t, service, other)
    const go = await holdUp(t, service.databaseUrl)
    const answers = await Promise.all([ask(t, service, own, '?timeout=1s'), ask(t, service, other, '?timeout=1s')])
    await go()
    return answers.every(({ warnings }) => !warnings.join().includes('too long'))
  })
  await call('DELETE', '/v1/nodes/edge1/allocation?force=true')
  await until('the release is noticed', async () => {
    const { warnings } = await ask(t, service, own)
    return warnings.join().includes('nobody announced')
  })
})

t.test('a database that is slow holds up no node', async (t) => {
  const service = await startWithHook(t)
  const go = await holdUp(t, service.databaseUrl)
  const { warnings } = await ask(t, service, status, '?timeout=1s')
  t.match(warnings.join(), /took too long/)
  await go()
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="late"\} 1/)
})

t.test('the listener of the hook serves the hook, and nothing else; elsewhere the hook takes a token', async (t) => {
  const service = await startWithHook(t)
  const { webhook } = service.ready
  for (const path of ['/v1/pools', '/livez', '/openapi.json', '/northbound/v1/nodes', '/metrics']) {
    t.equal((await post(`${webhook}${path}`, '{}')).status, 404, path)
  }
  const review = structuredClone(status)
  t.equal((await service.call('POST', '/hooks/kubernetes/nodes', review, { token: null })).status, 401)
  t.equal((await service.call('POST', '/hooks/kubernetes/nodes?timeout=5s', review)).status, 200)
})
