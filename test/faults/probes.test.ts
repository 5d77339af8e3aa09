import t from 'tap'
import { startPrivatePostgres } from '../support/postgres.js'
import { startService } from '../support/service.js'
import { until } from './support.js'

t.test('while the database is away', { timeout: 200_000 }, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const service = await startService(t, { databaseUrl: postgres.url })
  const get = (path: string) => service.call('GET', path, undefined, { token: null })
  await service.call('POST', '/v1/allocations', { nodeName: 'a' })
  await postgres.stop()
  await until('it is not ready', async () => (await get('/readyz')).status === 503)

  await t.test('/livez is 200, /readyz 503 with Retry-After, each time', async (t) => {
    for (let probe = 0; probe < 5; probe++) {
      t.equal((await get('/livez')).status, 200)
      const { status, body, headers } = await get('/readyz')
      t.match({ status, body }, { status: 503, body: { code: 'store_unavailable', status: 503 } })
      t.match(headers.get('retry-after'), /^[1-5]$/)
      t.equal(headers.get('x-request-id'), body.requestId)
    }
  })

  await postgres.start()
  await until('it is ready again', async () => (await get('/readyz')).status === 200)

  await t.test('the log tells when it changes, and of no probe', async (t) => {
    const told = () => service.lines.filter((line) => /ready: |ready again/.test(line)).map((line) => JSON.parse(line))
    await until('the last line', () => told().length >= 2)
    t.match(told(), [{ msg: /^not ready/ }, { msg: 'ready again' }])
    t.equal(told().length, 2)
    t.notOk(service.lines.some((line) => line.includes('"route":"/readyz"')))
  })

  await t.test('the same request has the same answer as before', async (t) => {
    t.match(await service.call('POST', '/v1/allocations', { nodeName: 'a' }), { status: 200, body: { nodeName: 'a' } })
  })
})
