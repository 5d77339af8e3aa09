import pg from 'pg'
import t from 'tap'
import { Load } from '../support/load.js'
import { startService } from '../support/service.js'
import { startHoldingWire } from './holding-wire.js'
import { CONNECTIONS, LOAD, needsRealRedis, type Replicas, startReplicas } from './replicas.js'
import { CONNECTIONS_OF_A_CLIENT, type Progress, Witness } from './witness.js'

// Reads that never lie: what one replica has answered, every other one knows from then on. So each change is followed at
// once by reads on the other replica, and many clients do so at a time, so that look-ups share their queries.

/** So many reads, each after a change; before a release, 100,000. */
const READS = Number(process.env.EDGE_IPAM_TEST_READS ?? Math.round(20_000 * LOAD))
const TIMEOUT = 120_000 + READS * 5

t.setTimeout(TIMEOUT + 120_000)

/** A client of one replica alone: an answer has to come from the one that was asked. */
function clientOf(t: { teardown(end: () => unknown): void }, url: string, { options }: Load): Load {
  const load = new Load({ ...options, targets: [url], connections: CONNECTIONS * CONNECTIONS_OF_A_CLIENT })
  t.teardown(() => load.close())
  return load
}

t.test(
  `of ${READS} reads none is older than a change that the other replica has answered`,
  { timeout: TIMEOUT, skip: needsRealRedis },
  async (t) => {
    const replicas = await startReplicas(t, { count: 2 })
    const [one, other] = replicas.services.map(({ url }) => clientOf(t, url, replicas.load)) as [Load, Load]
    const witness = new Witness([
      { writer: one, reader: other },
      { writer: other, reader: one },
    ])
    const repeats = () => [...one.repeats, ...other.repeats].join('\n')
    await witness.reads(READS / 2)
    // None, but on a machine that stalls for seconds.
    const before = witness.repeated
    t.comment(`${before} attempts were repeated while all was well`, repeats())

    const broken: Progress = { made: 0 }
    const breaking = breakThings(replicas, broken, READS * 0.3)
    await witness.reads(READS * 0.4, broken)
    await breaking
    const during = witness.repeated - before
    t.comment(`${during} attempts were repeated while things broke`)
    t.ok(during > 0, 'that connections dropped was felt')

    await witness.reads(READS * 0.1)

    t.same(witness.stale, [], 'no read was older than the change before it')
    t.same(witness.strange, [], 'and every change was answered as it has to be')
    replicas.load.improper.push(...one.improper, ...other.improper)
    await replicas.sound('reads after changes')
  },
)

t.test('a look-up is not content with what an older one finds', { timeout: 120_000 }, async (t) => {
  const near = await startService(t)
  const wire = await startHoldingWire(t, near.databaseUrl)
  const far = await startService(t, { databaseUrl: wire.url, adminToken: near.adminToken })
  let older = 0
  for (let round = 0; round < 20; round++) {
    const lookUp = () => far.call('GET', `/v1/nodes/node-${round}/unique-ip`)
    // So that it knows the caller, and asks the database for nothing else.
    t.equal((await lookUp()).status, 404)
    const kept = wire.hold()
    const first = lookUp()
    await kept
    const { body } = await near.call('POST', '/v1/allocations', { nodeName: `node-${round}` })
    const second = lookUp()
    // Who came later has been answered, so it has been read.
    for (let turn = 0; turn < 3; turn++) await far.call('GET', '/livez')
    wire.letGo()
    if ((await first).status === 404) older++
    t.equal((await second).body.uniqueIp, body.uniqueIp, 'it begins after the change, and shows it')
  }
  t.ok(older > 0, 'the first one had been answered before the change')
})

/** Until there were so many reads: kills Redis and starts it again, and drops all connections to the database. */
async function breakThings({ redis, databaseUrl }: Replicas, progress: Progress, last: number): Promise<void> {
  const admin = new pg.Client({ connectionString: databaseUrl })
  await admin.connect()
  const moreReads = async () => {
    const enough = progress.made + last / 20
    while (progress.made < enough) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const dropConnections = () =>
    admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name like 'replica-%'`)
  while (progress.made < last) {
    for (const fault of [() => redis!.kill9(), dropConnections, () => redis!.start(), dropConnections]) {
      await moreReads()
      await fault()
    }
  }
  await admin.end()
}
