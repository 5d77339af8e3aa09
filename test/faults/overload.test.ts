import t, { type Test } from 'tap'
import { problem } from '../api/support.js'
import { lostAnswers, violations } from '../support/invariants.js'
import { Load } from '../support/load.js'
import { startPrivatePostgres } from '../support/postgres.js'
import { type Service, startService } from '../support/service.js'
import { signalFamily, until } from './support.js'

/** More than the service lets in when nothing gets an answer. */
const CROWD = 1_200

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
}

function loadOn(t: Test, service: Service, connections: number): Load {
  const load = new Load({ targets: [service.url], token: service.adminToken, connections })
  t.teardown(() => load.close())
  return load
}

/** Who has no token has 401, without the database; unless nobody is let in. */
const isRefusing = async (service: Service) =>
  (await service.call('GET', '/v1/pools', undefined, { token: null })).status === 503

t.test('a thousand connections that ask one thing at a time are all served', { timeout: 120_000 }, async (t) => {
  const service = await startService(t)
  const load = loadOn(t, service, 1_000)
  await load.run(names('calm', 4_000), (name, connection) => load.allocate(connection, name))
  t.equal(load.repeated, 0, 'nobody had to ask twice')
  t.equal(load.answered.length, 4_000)
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /^edge_ipam_http_refused_total 0$/m)
  t.match(text, /^edge_ipam_http_requests_under_way 1$/m, 'under way is the one that asks')
})

t.test('three thousand nodes that come at once are all served', { timeout: 120_000 }, async (t) => {
  const service = await startService(t)
  const load = loadOn(t, service, 3_000)
  await load.run(names('burst', 3_000), (name, connection) => load.allocate(connection, name))
  // Where the machine is slow, some may be told to come again.
  t.same(load.improper, [], 'if at all, nobody is refused but with a word on when to come again')
  t.equal(load.answered.length, 3_000)
  t.same(await lostAnswers(service.databaseUrl, load.answered), [])
})

t.test(
  'while the database hangs the rest is refused at once, and afterwards all are served',
  { timeout: 200_000 },
  async (t) => {
    const postgres = await startPrivatePostgres(t)
    const service = await startService(t, { databaseUrl: postgres.url })
    t.teardown(() => signalFamily(postgres.pid(), 'SIGCONT'))
    const first = await service.call('POST', '/v1/allocations', { nodeName: 'first' })
    signalFamily(postgres.pid(), 'SIGSTOP')
    const load = loadOn(t, service, CROWD)
    const done = load.run(names('node', 3 * CROWD), (name, connection) => load.allocate(connection, name))
    done.catch(() => {})
    await until('it refuses', () => isRefusing(service))
    const refused = await until('an allocation is refused', async () => {
      const answer = await service.call('POST', '/v1/allocations', { nodeName: 'one-more' })
      return /More requests are waiting/.test(answer.text) && answer
    })
    problem(t, refused, 503, 'store_unavailable', 'refused')
    t.match(refused.headers.get('retry-after'), /^[1-9]\d*$/)
    t.equal((await service.call('GET', '/livez')).status, 200, 'it lives')
    t.equal((await service.call('GET', '/readyz')).status, 503, 'and is not ready')

    signalFamily(postgres.pid(), 'SIGCONT')
    await done
    t.same(load.improper, [], 'whoever was not served was told to come again, and when')
    t.equal(load.answered.length, 3 * CROWD)
    t.same(await lostAnswers(postgres.url, load.answered), [])
    t.same(await violations(postgres.url), [])
    const again = await service.call('POST', '/v1/allocations', { nodeName: 'first' })
    t.equal(again.body.uniqueIp, first.body.uniqueIp)
    await until('the log tells the end', () =>
      service.lines.some((line) => line.includes('every request is served again')),
    )
    const { text } = await service.call('GET', '/metrics')
    t.match(text, /^edge_ipam_http_refused_total [1-9]/m)
    t.match(text, /^edge_ipam_http_requests_under_way 1$/m)
    t.equal(await service.stop(), 0)
  },
)
