import pg from 'pg'
import t, { type Test } from 'tap'
import { Problem } from '../../src/core/errors.js'
import { KnownNodes } from '../../src/domain/known-nodes.js'
import type { Report, Seen } from '../../src/domain/observe.js'
import { writeAudit } from '../../src/store/audit.js'
import type { Executor } from '../../src/store/database.js'
import { until } from '../faults/support.js'
import { openTestDatabase } from '../support/database.js'
import { createDatabase } from '../support/postgres.js'
import { openWayToPostgres } from '../support/way-to-postgres.js'
import { ask, like, post, postAll, recording, startWithHook } from './support.js'

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

/** A way to the database that counts what is asked on it. */
async function countStatements(t: Test, databaseUrl: string): Promise<{ url: string; count: () => number }> {
  let count = 0
  const { url } = await openWayToPostgres(t, databaseUrl, (service, postgres) => {
    postgres.pipe(service)
    // A message is its type and its length; the first one has no type.
    let pending = Buffer.alloc(0)
    let header = 0
    service.on('data', (chunk: Buffer) => {
      postgres.write(chunk)
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= header + 4) {
        const length = header + pending.readUInt32BE(header)
        if (pending.length < length) break
        if (header === 1 && 'QE'.includes(String.fromCharCode(pending[0]!))) count++
        header = 1
        pending = pending.subarray(length)
      }
    })
  })
  return { url, count: () => count }
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

t.test('5,000 nodes that report what they did before cost the database one look a second', async (t) => {
  const statements = await countStatements(t, await createDatabase(t))
  const pool = { EDGE_IPAM_POOL: '10.77.0.0/16' }
  const service = await startWithHook(t, { ...pool, LOG_LEVEL: 'warn' }, statements.url)
  const names = Array.from({ length: 5_000 }, (_, i) => `edge-${i}`)
  for (let at = 0; at < names.length; at += 1_000) {
    const items = names.slice(at, at + 1_000).map((nodeName) => ({ nodeName }))
    t.equal((await service.call('POST', '/v1/allocations/batch', { items })).status, 200)
  }
  const reviews = names.map((name) => JSON.stringify(like(status, { name })))
  const report = () => postAll(`${service.ready.webhook}/hooks/kubernetes/nodes?timeout=2s`, reviews)
  /** Statements beyond one a second, and those of a sweep. */
  const costOf = async (work: () => Promise<unknown>) => {
    const [before, began] = [statements.count(), performance.now()]
    await work()
    return statements.count() - before - (performance.now() - began) / 1_000
  }
  const first = await costOf(report)
  t.ok(first > names.length, `what is new is written: ${first} statements`)
  await until('all that was written is noticed', async () => (await costOf(report)) < 100)
  const cost = await costOf(async () => {
    for (let round = 0; round < 3; round++) await report()
  })
  t.ok(cost < 10, `15,000 reviews: ${cost} statements beside one a second`)
})

const reportOf = (name: string): Report => ({ name, nodeUid: 'uid', addresses: ['192.168.1.10'], labels: {} })
const seen: Seen = { uniqueIp: '10.77.0.1', reports: 'another' }
const change = (db: Executor, nodeName: string) =>
  writeAudit(db, { action: 'node.updated', actor: 'admin:x', requestId: null, nodeName })

/** What is known of nodes, and the database where changes of them are told. */
async function startKnowing(t: Test) {
  const db = await openTestDatabase(t)
  const known = new KnownNodes(db, (error) => t.error(error))
  t.teardown(() => known.close())
  const learn = (name: string) => known.learn(reportOf(name), async () => seen)
  const isForgotten = (name: string) => until(`${name} is forgotten`, () => known.recall(reportOf(name)) === undefined)
  return { db, known, learn, isForgotten }
}

t.test('a node that comes with another uid or another address is another', async (t) => {
  const { known, learn } = await startKnowing(t)
  await learn('edge1')
  t.equal(known.recall(reportOf('edge1')), seen)
  t.equal(known.recall({ ...reportOf('edge1'), nodeUid: 'created again' }), undefined)
  t.equal(known.recall({ ...reportOf('edge1'), addresses: ['192.168.1.11'] }), undefined)
})

t.test('a refusal is remembered for half a minute, and trouble of the database not at all', async (t) => {
  const { known } = await startKnowing(t)
  const refused = new Problem('pool_exhausted', 'No address is free.')
  await t.rejects(
    known.learn(reportOf('full'), () => Promise.reject(refused)),
    refused,
  )
  t.throws(() => known.recall(reportOf('full')), refused)
  const trouble = new Problem('store_unavailable', 'The database is away.')
  await t.rejects(
    known.learn(reportOf('away'), () => Promise.reject(trouble)),
    trouble,
  )
  t.equal(known.recall(reportOf('away')), undefined)
  const now = performance.now()
  t.intercept(performance, 'now', { value: () => now + 31_000 })
  t.equal(known.recall(reportOf('full')), undefined)
})

t.test('what changes while it is looked up is not remembered', async (t) => {
  const { db, known, learn, isForgotten } = await startKnowing(t)
  await learn('other')
  await known.learn(reportOf('edge1'), async () => {
    for (const name of ['edge1', 'other']) await change(db, name)
    await isForgotten('other')
    return seen
  })
  t.equal(known.recall(reportOf('edge1')), undefined)
})

t.test('a change that is committed after later ones is noticed all the same', async (t) => {
  const { db, known, learn, isForgotten } = await startKnowing(t)
  for (const name of ['slow', 'quick', 'last']) await learn(name)
  await db.transaction().execute(async (trx) => {
    await change(trx, 'slow')
    await change(db, 'quick')
    await isForgotten('quick')
  })
  await change(db, 'last')
  await isForgotten('last')
  t.equal(known.recall(reportOf('slow')), undefined)
})

t.test('a database that is slow holds up no node', async (t) => {
  const service = await startWithHook(t)
  const go = await holdUp(t, service.databaseUrl)
  const answered: string[] = []
  await Promise.all(
    ['2s', '100ms'].map(async (timeout) => {
      const { warnings } = await ask(t, service, status, `?timeout=${timeout}`)
      t.match(warnings.join(), /took too long/)
      answered.push(timeout)
    }),
  )
  t.same(answered, ['100ms', '2s'], 'who waits for less is answered before')
  await go()
  const { text } = await service.call('GET', '/metrics')
  t.match(text, /edge_ipam_hook_reviews_total\{outcome="late"\} 2/)
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
