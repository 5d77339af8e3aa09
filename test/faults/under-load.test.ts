import { randomBytes, randomInt } from 'node:crypto'
import t from 'tap'
import { lostAnswers, violations, wrongNumbers } from '../support/invariants.js'
import { Load } from '../support/load.js'
import { startPrivatePostgres } from '../support/postgres.js'
import { startRedis } from '../support/redis.js'
import { startService } from '../support/service.js'
import { faults, type Site } from './faults.js'
import { type Callers, newLife, pools } from './life.js'
import { type Diary, live } from './living.js'
import { Random } from './random.js'
import { forgotten, lateLives, requestTrail, wrongTraces } from './settled.js'
import { until } from './support.js'
import { allocationVerbs } from './verbs/allocations.js'
import { nodeVerbs } from './verbs/nodes.js'
import { networkVerbs, poolVerbs } from './verbs/pools.js'
import { tokenVerbs } from './verbs/tokens.js'

const KILLS = Number(process.env.EDGE_IPAM_TEST_KILLS ?? Object.keys(faults).length)
const SEED = Number(process.env.EDGE_IPAM_TEST_SEED ?? randomInt(2 ** 31))
const CONNECTIONS = Number(process.env.EDGE_IPAM_TEST_CONNECTIONS ?? 32)
/** So many more answers between two faults: the load is on when each of them comes. */
const ANSWERS = 100
/** So many requests of one client. */
const LIFE = 25
/** Within so long (ms) after what was broken is whole again, every request has its answer. */
const RECOVERY = 15_000

const TIMEOUT = 120_000 + KILLS * 30_000
t.setTimeout(TIMEOUT)

t.test(`every verb under ${KILLS} faults, seed ${SEED}`, { timeout: TIMEOUT }, async (t) => {
  const postgres = await startPrivatePostgres(t)
  const redis = await startRedis(t)
  const adminToken = randomBytes(24).toString('base64url')
  const start = () =>
    startService(t, { databaseUrl: postgres.url, adminToken, env: { REDIS_URL: redis.url, LOG_LEVEL: 'warn' } })
  const replicas = await Promise.all([start(), start()])
  const targets = replicas.map(({ url }) => url)
  const admin = async (method: string, path: string, body?: object) => {
    const answer = await replicas[0]!.call(method, path, body)
    if (answer.status >= 300) throw new Error(answer.text)
    return answer.body
  }
  await admin('DELETE', '/v1/pools/default')
  for (const pool of pools) await admin('POST', '/v1/pools', pool)
  const roles: (keyof Callers)[] = ['cloudcore', 'northbound', 'auditor']
  const made = await Promise.all(
    roles.map(async (role) => [role, (await admin('POST', '/v1/tokens', { role })).secret]),
  )
  const callers: Callers = Object.fromEntries(made)

  // Longer than the service takes to say that the store is away, so that only a replica that is stopped is given up.
  const load = new Load({ targets, token: adminToken, connections: CONNECTIONS, attemptMs: 8_000 })
  t.teardown(() => load.close())
  const diary: Diary = { lives: [], asked: new Map(), strange: [], answered: new Map(), used: new Map() }
  const random = new Random(SEED)

  let going = true
  const lives = function* () {
    for (let number = 0; going; number++) yield newLife(number, new Random(random.below(2 ** 31)), callers)
  }
  const verbs = { ...allocationVerbs, ...nodeVerbs, ...poolVerbs, ...tokenVerbs }
  let first = true
  const working = load.run(lives(), (life, connection) => {
    const declares = first
    first = false
    const goesOn = (asked: number) => going && (declares || asked < LIFE)
    return live(life, declares ? networkVerbs : verbs, { load, connection, diary, goesOn })
  })

  const site: Site = {
    replicas,
    redis,
    postgres,
    async startReplica(which) {
      replicas[which] = await start()
      targets[which] = replicas[which].url
    },
    async answers() {
      const before = load.replies
      await until('more answers', () => load.replies > before + ANSWERS)
    },
    async repeats() {
      const before = load.repeated
      await until('requests that are made again', () => load.repeated > before + CONNECTIONS / 4)
    },
  }
  const chosen = Array.from({ length: Math.ceil(KILLS / Object.keys(faults).length) }, () =>
    random.shuffled(Object.entries(faults)),
  )
  const sick: string[] = []
  for (const [name, fault] of chosen.flat().slice(0, KILLS)) {
    await site.answers()
    const before = load.repeated
    await fault(site)
    const whole = Date.now()
    const answers = load.replies
    // Also after what breaks for a moment only: its consequences have to have come to the clients.
    const well = () => load.troubled.size === 0 && load.replies > answers + CONNECTIONS
    while (!well() && Date.now() < whole + RECOVERY) await new Promise((resolve) => setTimeout(resolve, 5))
    if (!well()) sick.push(`${name}: still without an answer ${[...load.troubled.values()].join('; ')}`)
    t.comment(`${name}: ${load.repeated - before} attempts repeated, well ${Date.now() - whole} ms after its end`)
  }
  going = false
  await working

  const left = await requestTrail(postgres.url)
  const { late, wrong } = lateLives(diary, left)
  const strange = diary.strange.filter(({ life }) => !late.has(life)).map(({ what }) => what)
  const lost = new Set([...late, ...diary.strange.map(({ life }) => life)])
  t.comment(`${load.replies} answers to ${diary.lives.length} clients, ${load.repeated} attempts repeated`)
  t.comment(`${late.size} clients with a change that came late; ${diary.answered.size} allocations answered`)
  t.same(
    Object.keys({ ...verbs, ...networkVerbs }).filter((name) => !diary.used.has(name)),
    [],
    'every verb was used',
  )
  t.ok(load.repeated > 0, 'the faults were felt')
  t.same(load.improper, [], 'no 5xx but 503, with Retry-After')
  t.same(sick, [], 'every 503 is followed by an answer, within 15 s after what was broken is whole again')
  t.same(strange, [], 'no answer contradicts an earlier one')
  t.same(wrong, [], 'what was answered is not done again')
  t.ok(late.size < diary.lives.length / 10, 'changes that come late are few')
  t.same(wrongTraces(diary, left, lost), [], 'each change is in the audit trail once, and nothing else')
  t.same(await violations(postgres.url), [], 'the database holds what it must')
  t.same(await lostAnswers(postgres.url, [...diary.answered.values()]), [], 'no answered allocation is lost')
  t.same(await forgotten(replicas[1]!, diary, lost), [], 'all that was answered is there, and nothing that was undone')
  const { body } = await replicas[0]!.call('GET', '/v1/pools?limit=1000')
  t.same(await wrongNumbers(postgres.url, body.items), [], 'the numbers of the API are the truth')
})
