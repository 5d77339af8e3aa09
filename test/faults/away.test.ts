import { request as httpRequest } from 'node:http'
import pg from 'pg'
import t from 'tap'
import { violations } from '../support/invariants.js'
import { startPrivatePostgres } from '../support/postgres.js'
import { type Answer, startService } from '../support/service.js'
import { signalFamily, until } from './support.js'

/** Answers that say that the store is away, and when to come again; the others, in words. */
function notAway(answers: readonly Answer[]): string[] {
  return answers
    .filter(({ status, headers, body }) => {
      return status !== 503 || body.code !== 'store_unavailable' || !/^\d+$/.test(headers.get('retry-after') ?? '')
    })
    .map(({ status, text }) => `${status} ${text}`)
}

/** Resolves with whether it came to an end in so many ms. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, ms, 'late')
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

async function connect(t: { teardown(end: () => unknown): void }, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  // The server is taken away from under it.
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end().catch(() => {}))
  return client
}

const waiting = (client: pg.Client, least: number) =>
  until(`${least} wait for a lock`, async () => {
    const { rows } = await client.query(`select count(*)::int as waiting from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    return rows[0].waiting >= least
  })

t.test('a database that hangs: 503 in time, and all is well when it goes on', { timeout: 200_000 }, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const service = await startService(t, { databaseUrl: postgres.url })
  t.teardown(() => signalFamily(postgres.pid(), 'SIGCONT'))
  const held = await service.call('POST', '/v1/allocations', { nodeName: 'held' })
  const requests: [string, string, unknown?][] = [
    ...Array.from({ length: 20 }, (_, i): [string, string, unknown] => [
      'POST',
      '/v1/allocations',
      { nodeName: `n${i}` },
    ]),
    ['POST', '/v1/allocations', { nodeName: 'held', displayIp: '192.168.1.10' }],
    ['DELETE', '/v1/nodes/held/allocation'],
    ['GET', '/v1/nodes/held/unique-ip'],
    ['GET', '/v1/pools'],
    ['POST', '/v1/pools', { name: 'b', cidr: '10.220.0.0/24' }],
    ['POST', '/v1/nodes/held/registration'],
  ]
  for (let round = 0; round < 2; round++) {
    signalFamily(postgres.pid(), 'SIGSTOP')
    const answers = await within(
      30_000,
      Promise.all(requests.map(([method, path, body]) => service.call(method, path, body))),
    )
    if (answers === 'late') return t.fail('no answer, long after the five seconds that are promised')
    t.same(notAway(answers), [], 'every answer says that the store is away, and when to come again')
    t.equal((await service.call('GET', '/livez')).status, 200, 'it lives')
    t.equal((await service.call('GET', '/readyz')).status, 503, 'and is not ready')
    signalFamily(postgres.pid(), 'SIGCONT')
    await until('it is ready again', async () => (await service.call('GET', '/readyz')).status === 200)
  }
  for (const [method, path, body] of requests.filter(([method]) => method === 'POST')) {
    const answer = await service.call(method, path, body)
    t.ok([200, 201, 409].includes(answer.status), `${method} ${path}: ${answer.status} ${answer.body.code ?? ''}`)
  }
  const again = await service.call('POST', '/v1/allocations', { nodeName: 'held' })
  t.equal(again.body.uniqueIp, held.body.uniqueIp, 'and the same address as before')
  t.same(await violations(postgres.url), [])
  t.equal(await service.stop(), 0)
})

for (const [how, end] of [
  ['restarted', 'stop'],
  ['killed', 'kill9'],
] as const) {
  t.test(`a database that is ${how} in the middle of requests`, { timeout: 120_000 }, async (t) => {
    const postgres = await startPrivatePostgres(t)
    const service = await startService(t, { databaseUrl: postgres.url })
    const blocker = await connect(t, postgres.url)
    await service.call('POST', '/v1/allocations', { nodeName: 'known' })
    await blocker.query('begin')
    await blocker.query(`select from pools for update`)
    await blocker.query(`select from allocations for update`)
    const watcher = await connect(t, postgres.url)
    const ask = () =>
      Promise.all([
        service.call('POST', '/v1/allocations', { nodeName: 'new' }),
        service.call('DELETE', '/v1/nodes/known/allocation'),
      ])
    const answers = ask()
    await waiting(watcher, 2)
    await postgres[end]()
    t.same(notAway(await answers), [])
    await postgres.start()
    await until('it is ready again', async () => (await service.call('GET', '/readyz')).status === 200)
    const [given, released] = await ask()
    t.equal(given.status, 201, 'what was not answered had not happened')
    t.equal(released.body.state, 'quarantined')
    t.same(await violations(postgres.url), [])
  })
}

t.test('a client that hangs up in the middle is owed nothing, and gets it', { timeout: 120_000 }, async (t) => {
  const service = await startService(t)
  const [blocker, watcher] = [await connect(t, service.databaseUrl), await connect(t, service.databaseUrl)]
  await blocker.query('begin')
  await blocker.query(`select from pools for update`)
  const request = httpRequest(`${service.url}/v1/allocations`, {
    method: 'POST',
    agent: false,
    headers: { authorization: `Bearer ${service.adminToken}`, 'content-type': 'application/json' },
  })
  const broken = new Promise((resolve) => request.on('error', resolve))
  request.end(JSON.stringify({ nodeName: 'impatient' }))
  await waiting(watcher, 1)
  request.destroy()
  await broken
  await blocker.query('commit')
  const made = await until('it is done all the same', async () => {
    const { rows } = await watcher.query(`select host(address) as address from allocations`)
    return rows[0] ?? false
  })
  const again = await service.call('POST', '/v1/allocations', { nodeName: 'impatient' })
  t.equal(again.status, 200)
  t.equal(again.body.uniqueIp, made.address, 'the same request later has the same address')
  t.same(
    service.lines.filter((line) => /"level":(50|60)/.test(line)),
    [],
    'it is no error of ours',
  )
  t.same(await violations(watcher), [])
})
