import { randomBytes } from 'node:crypto'
import t from 'tap'
import { lostAnswers, violations, wrongNumbers } from '../support/invariants.js'
import { Load } from '../support/load.js'
import { startPrivatePostgres } from '../support/postgres.js'
import { startRedis } from '../support/redis.js'
import { type Service, startService } from '../support/service.js'
import { until } from './support.js'

const KILLS = Number(process.env.EDGE_IPAM_TEST_KILLS ?? 20)
const CONNECTIONS = Number(process.env.EDGE_IPAM_TEST_CONNECTIONS ?? 32)
/** So many more answers between two kills: the load is on when each of them comes. */
const ANSWERS = 100

t.test(`kill -9 of services, Redis and PostgreSQL under load, ${KILLS} times`, { timeout: 290_000 }, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const redis = await startRedis(t)
  const adminToken = randomBytes(24).toString('base64url')
  const start = () =>
    startService(t, {
      databaseUrl: postgres.url,
      adminToken,
      env: { REDIS_URL: redis.url, EDGE_IPAM_POOL: '10.64.0.0/12', LOG_LEVEL: 'warn' },
    })
  const services: Service[] = await Promise.all([start(), start()])
  const targets = services.map(({ url }) => url)
  const load = new Load({ targets, token: adminToken, connections: CONNECTIONS })
  t.teardown(() => load.close())

  let going = true
  const jobs = function* () {
    for (let number = 0; going; number++) yield number
  }
  const strange: string[] = []
  const released = new Set<string>()
  const working = load.run(jobs(), async (number, connection) => {
    const name = `node-${number}`
    const first = await load.allocate(connection, name, { displayIp: '192.168.1.10' })
    if (first.status !== 200 && first.status !== 201) return strange.push(`${name}: ${JSON.stringify(first.body)}`)
    if (number % 3 === 0) {
      const again = await load.allocate(connection + 1 < CONNECTIONS ? connection + 1 : 0, name)
      if (again.body.sequence !== first.body.sequence || again.body.uniqueIp !== first.body.uniqueIp) {
        strange.push(`${name} had ${first.body.uniqueIp}, then ${again.body.uniqueIp}`)
      }
    } else if (number % 3 === 1) {
      released.add(name)
      const gone = await load.release(connection, name, first.body.sequence)
      if (gone.status !== 200) strange.push(`${name} is not released: ${JSON.stringify(gone.body)}`)
    }
  })

  for (let kill = 0; kill < KILLS; kill++) {
    const before = load.answered.length
    await until('more answers', () => load.answered.length > before + ANSWERS)
    switch (kill % 5) {
      case 0:
      case 2: {
        const which = (kill % 5) / 2
        await services[which]!.kill9()
        services[which] = await start()
        targets[which] = services[which].url
        break
      }
      case 1:
        await redis.kill9()
        await redis.start()
        break
      default:
        await postgres.kill9()
        await postgres.start()
    }
  }
  going = false
  await working

  t.comment(`${load.answered.length} answers, ${load.repeated} attempts repeated`)
  t.ok(load.repeated > 0, 'the kills were felt')
  t.same(strange, [], 'no answer contradicts an earlier one')
  t.same(load.improper, [], 'no 5xx but 503, with Retry-After')
  t.same(await violations(postgres.url), [], 'the database holds what it must')
  t.same(await lostAnswers(postgres.url, load.answered), [], 'no answered allocation is lost')
  const kept = load.answered.filter(({ name }) => !released.has(name))
  const changed: string[] = []
  await load.run(kept.slice(-500), async ({ name, sequence }, connection) => {
    const { status, body } = await load.persist(connection, 'GET', `/v1/nodes/${name}/unique-ip`)
    if (status !== 200 || body.sequence !== sequence) changed.push(`${name}: ${status} ${JSON.stringify(body)}`)
  })
  t.same(changed, [], 'what was not released is still held')
  const pools = await services[0]!.call('GET', '/v1/pools')
  t.same(await wrongNumbers(postgres.url, pools.body.items), [], 'the numbers of the API are the truth')
})
