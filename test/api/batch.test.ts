import t from 'tap'
import { startService } from '../support/service.js'
import { endQuarantine } from './support.js'

t.test('batches of allocations', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.0.0.0/29' } })
  const batch = (items: unknown[], more: object = {}, query = '') =>
    service.call('POST', `/v1/allocations/batch${query}`, { items, ...more })
  const statuses = (answer: { body: { results: { status: number }[] } }) => answer.body.results.map((one) => one.status)
  const allocated = async () => (await service.call('GET', '/v1/pools/default')).body.utilization.allocated

  await t.test('each item succeeds or fails by itself, in order', async (t) => {
    const answer = await batch([{ nodeName: 'a' }, { nodeName: 'B' }, { nodeName: 'c', pool: 'no' }, { nodeName: 'a' }])
    t.equal(answer.status, 200)
    t.strictSame(statuses(answer), [201, 400, 404, 200])
    t.equal(answer.body.results[0].allocation.uniqueIp, '10.0.0.1')
    t.equal(answer.body.results[1].problem.errors[0].path, '/items/1/nodeName')
    t.equal(answer.body.results[2].problem.code, 'pool_not_found')
    t.equal(answer.body.results[3].allocation.uniqueIp, '10.0.0.1')
  })

  await t.test('an atomic batch that fails keeps nothing, and tells the innocent so', async (t) => {
    for (const bad of [{ nodeName: 'x', address: '10.0.0.1' }, { nodeName: 'X' }]) {
      const answer = await batch([{ nodeName: 'b' }, bad, { nodeName: 'c' }], { atomic: true })
      t.equal(answer.status, 200)
      t.strictSame(
        answer.body.results.map((one: { problem: { code: string } }) => one.problem.code),
        ['batch_aborted', bad.nodeName === 'X' ? 'validation_failed' : 'address_in_use', 'batch_aborted'],
      )
    }
    t.equal(await allocated(), 1)
  })

  await t.test('each that fails for itself is told why, also when others do', async (t) => {
    const items = [{ nodeName: 'X' }, { nodeName: 'b' }, { nodeName: 'x', address: '10.0.0.1' }, 7, { nodeName: 'b' }]
    const answer = await batch(items, { atomic: true })
    t.strictSame(
      answer.body.results.map((one: { problem: { code: string } }) => one.problem.code),
      ['validation_failed', 'batch_aborted', 'address_in_use', 'validation_failed', 'batch_aborted'],
    )
    t.match(answer.body.results[3].problem, { status: 400, errors: [{ path: '/items/3' }] })
  })

  await t.test('what an atomic batch allocates is counted as any other, and a dry run is not', async (t) => {
    const created = async () => {
      const { text } = await service.call('GET', '/metrics')
      return Number(/^edge_ipam_allocations_total\{result="created"\} (\d+)$/m.exec(text)?.[1])
    }
    const before = await created()
    await batch([{ nodeName: 'counted' }], { atomic: true }, '?dryRun=true')
    t.equal(await created(), before)
    await batch([{ nodeName: 'counted' }], { atomic: true })
    t.equal(await created(), before + 1)
    await service.call('DELETE', '/v1/nodes/counted')
    await endQuarantine(service, '10.0.0.2')
  })

  await t.test('a dry run promises different addresses, and keeps none', async (t) => {
    for (const more of [{}, { atomic: true }]) {
      const answer = await batch([{ nodeName: 'b' }, { nodeName: 'c' }, { nodeName: 'b' }], more, '?dryRun=true')
      t.strictSame(statuses(answer), [201, 201, 200])
      const [one, two, again] = answer.body.results
      t.not(one.allocation.uniqueIp, two.allocation.uniqueIp)
      t.equal(one.allocation.uniqueIp, again.allocation.uniqueIp)
    }
    t.equal(await allocated(), 1)
  })

  await t.test('an atomic batch that succeeds keeps all; one that does not fit keeps none', async (t) => {
    t.strictSame(statuses(await batch([{ nodeName: 'b' }, { nodeName: 'c' }], { atomic: true })), [201, 201])
    t.equal(await allocated(), 3)
    const names = ['d', 'e', 'f', 'g'].map((nodeName) => ({ nodeName }))
    t.ok(statuses(await batch(names, { atomic: true })).every((status) => status === 409))
    t.equal(await allocated(), 3)
    t.strictSame(statuses(await batch(names)).sort(), [201, 201, 201, 409])
  })

  await t.test('a batch of none, or of too many, is refused', async (t) => {
    t.equal((await batch([])).status, 400)
    t.equal((await batch(Array.from({ length: 1001 }, () => ({ nodeName: 'n' })))).status, 400)
  })

  await t.test('a join token is good for its names only', async (t) => {
    const { body } = await service.call('POST', '/v1/tokens', { role: 'join', namePattern: 'ham-*' })
    const items = [{ nodeName: 'a' }, { nodeName: 'ham-1' }]
    const answer = await service.call('POST', '/v1/allocations/batch', { items }, { token: body.secret })
    t.strictSame(statuses(answer), [403, 409])
  })
})
