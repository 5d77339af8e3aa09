import { cpus, loadavg, release } from 'node:os'
import { cores } from './cpu.js'
import { wrkThreads } from './load/wrk.js'
import type { Options } from './options.js'
import type { Postgres } from './servers/postgres.js'
import type { BenchRedis } from './servers/redis.js'

/** What the figures were measured on, and how, for people. */
export async function machineFacts(run: {
  postgres: Postgres
  redis: BenchRedis | undefined
  wrk: string
  options: Options
}): Promise<string[]> {
  const { postgres, redis, wrk, options } = run
  const threads = wrkThreads === 1 ? 'a thread' : `${wrkThreads} threads`
  return [
    `${cores} cores (${cpus()[0]?.model.trim()}), ${process.platform} ${release()}, load before the run ${loadavg()[0]!.toFixed(1)}`,
    `Node ${process.version}, wrk ${wrk} with ${threads}; the service logs at info to the null device`,
    postgres.facts,
    redis?.facts ?? 'no Redis',
    `${options.rounds} rounds of ${options.seconds} s for each side, in turns`,
    ...(options.quick
      ? ["--quick: where a million nodes or addresses are meant, there are 2^16, and of a cluster's nodes a fifth"]
      : []),
  ]
}
