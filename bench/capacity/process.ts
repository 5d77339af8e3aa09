import { put } from '../contestants/load.js'
import { crowd, crowded, migrated } from '../databases.js'
import { writeLines } from '../load/lines.js'
import { Absent, type Bench } from '../measurement.js'
import type { Finding } from '../probe.js'
import { residentMegabytes } from '../resident.js'
import { Scope } from '../scope.js'
import { type HttpServer, startService } from '../servers/http.js'
import { middle } from '../statistics.js'

// How large a process of the service is, and how soon it is there, where a million addresses are allocated.

/** As large as the crowd; not used where there is a pool. */
const POOL = '10.0.0.0/12'

/**
 * Seconds from the start of the process until `/readyz` answers 200, as often as there are rounds; in turns with one whose
 * database has tables and nothing in them, which shows what the machine needs to start a program of this size.
 */
export async function measureStart(bench: Bench, scope: Scope): Promise<Finding> {
  const databases = { start: await crowded(bench, scope), 'start-empty': await migrated(bench, scope, POOL) }
  const values: Record<keyof typeof databases, number[]> = { start: [], 'start-empty': [] }
  for (let round = 0; round < bench.rounds; round++) {
    for (const which of ['start', 'start-empty'] as const) {
      const own = new Scope()
      try {
        const from = performance.now()
        await start(bench, own, databases[which])
        values[which].push((performance.now() - from) / 1000)
      } finally {
        await own.end()
      }
    }
  }
  return { values }
}

/** Ten minutes, when rounds last as long as they do by default. */
const SECONDS_OF_LOAD_FOR_EACH_OF_A_ROUND = 100

/**
 * Megabytes of a process under a mixed load: the most at any time, and how much it still grows after a third of it. A load of
 * seconds tells nothing of that.
 */
export async function measureMemory(bench: Bench, scope: Scope): Promise<Finding> {
  const databaseUrl = await crowded(bench, scope)
  const server = await start(bench, scope, databaseUrl)
  const seconds = bench.quick ? 20 : bench.seconds * SECONDS_OF_LOAD_FOR_EACH_OF_A_ROUND
  const ready = residentMegabytes(server.pid)
  if (ready === undefined) throw new Absent('this system does not tell the memory of a process')
  const samples = [ready]
  const sampling = setInterval(() => samples.push(residentMegabytes(server.pid) ?? Number.NaN), 500)
  let problems: string[]
  try {
    problems = await mixedLoad(bench, scope, server, seconds)
  } finally {
    clearInterval(sampling)
  }
  const around = (part: number) =>
    middle(samples.slice(Math.floor(part * samples.length * 0.9)).slice(0, Math.ceil(samples.length / 10)))
  const [third, end] = [around(1 / 3), around(1)]
  const told = [ready, third, end, Math.max(...samples)].map((one) => one.toFixed(0))
  bench.progress(
    `  ${told[0]} MB when ready, ${told[1]} MB after a third of ${seconds} s, ${told[2]} MB at the end, ${told[3]} MB at most`,
  )
  const growth = bench.quick ? [] : [end / third]
  return { values: { memory: [Math.max(...samples)], 'memory-growth': growth }, problems }
}

/** All that is asked all day, at the same time: what answers there are is known, so each has to be a success. */
async function mixedLoad(bench: Bench, scope: Scope, server: HttpServer, seconds: number): Promise<string[]> {
  await makePool(server)
  const half = Math.floor((bench.quick ? 2 ** 16 : 2 ** 20) / 2) - 10
  const stays = { prefix: crowd.prefix, count: half, seconds }
  const lines = writeLines(
    ['?limit=100', '?displayIp=192.168.1.10'].map((query) => `/northbound/v1/nodes${query}`),
    scope,
  )
  const loads = await Promise.all([
    put({ kind: 'lookup', connections: 32, ...stays }, [server], bench),
    put({ kind: 'registration', connections: 16, ...stays }, [server], bench),
    put({ kind: 'release', connections: 4, ...stays, first: half }, [server], bench),
    put({ kind: 'get', connections: 4, ...stays, lines, count: 2 }, [server], bench),
    put({ kind: 'allocateIn', pools: 1, connections: 8, prefix: 'more-', count: 10_000_000, seconds }, [server], bench),
  ])
  const kinds = ['look-ups', 'registrations', 'releases', 'pages', 'allocations']
  const results = loads.map(([result]) => result!)
  const rates = results.map(({ requests }, index) => `${Math.round(requests / seconds)} ${kinds[index]}`)
  bench.progress(`  each second ${rates.join(', ')}`)
  return results.flatMap(({ other, firstOther, socketErrors }, index) =>
    other + socketErrors === 0
      ? []
      : [`${kinds[index]}: ${other} answers were no success, the first a ${firstOther}; ${socketErrors} had none`],
  )
}

function start({ program, redis }: Bench, scope: Scope, databaseUrl: string): Promise<HttpServer> {
  return startService(scope, { program, databaseUrl, redisUrl: redis?.url, pool: POOL })
}

async function makePool({ url, token }: HttpServer): Promise<void> {
  const answer = await fetch(`${url}/v1/pools`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'pool-0', cidr: '11.0.0.0/8' }),
  })
  if (answer.status !== 201) throw new Error(`pool-0 could not be made: ${await answer.text()}`)
}
