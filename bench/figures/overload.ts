import { watchCpu } from '../cpu.js'
import { countHoldings } from '../fleet.js'
import { buildOpenLoop, type OpenLoopResult, type Phase } from '../load/open-loop.js'
import { probe } from '../probe.js'
import { residentMegabytes } from '../resident.js'
import { startService } from '../servers/http.js'
import { withClient } from '../servers/postgres.js'

/** More than the service lets in at once, so that there is always one that is free. */
const CONNECTIONS = 6_000
const CALM_BEFORE = 3
const CALM_AFTER = 5

export const overload = probe({
  name: 'overload',
  figures: [
    {
      name: 'overload-kept',
      title: 'open loop at twice the capacity: allocations per second against the capacity before and after',
      unit: '',
      goal: { atLeast: 0.9 },
    },
    {
      name: 'overload-p99',
      title: 'p99 of those that are let in, from when they were due',
      unit: 'ms',
      goal: { atMost: 1_000 },
    },
    {
      name: 'overload-refusal',
      title: 'p99 of the refusals, each 503 with Retry-After, from when they were due',
      unit: 'ms',
      goal: { atMost: 250 },
    },
    {
      name: 'overload-normal',
      title: 'after the end, until every answer is as quick as before',
      unit: 'ms',
      goal: { atMost: 2_000 },
    },
    {
      name: 'overload-memory',
      title: 'memory of the service at the end against that half-way',
      unit: '',
      goal: { atMost: 1.2 },
    },
  ],
  measure: async (bench, scope) => {
    const { postgres, program, quick, signal, progress } = bench
    const generate = await buildOpenLoop(scope)
    const databaseUrl = await postgres.createDatabase(scope)
    const server = await startService(scope, { program, databaseUrl, pool: '10.0.0.0/8' })
    const seconds = quick ? 6 : 60

    const capacityOf = async (prefix: string, length: number) => {
      const closed = { phases: [{ rate: 0, seconds: length }], connections: 256, prefix }
      const { phases: only } = await generate(server, closed, signal)
      return only[0]!.created.count / length
    }
    await capacityOf('warm-', quick ? 1 : 5)
    const capacity = await capacityOf('before-', quick ? 2 : 10)
    const calm = Math.round(capacity / 4)
    const phases: Phase[] = [
      { rate: calm, seconds: CALM_BEFORE },
      { rate: Math.round(capacity * 2), seconds },
      { rate: calm, seconds: CALM_AFTER },
    ]
    const memory = new Memory(server.pid)
    const watched = { servers: [server.pid], postmaster: postgres.postmaster }
    const { result, cpu } = await watchCpu(watched, () =>
      generate(server, { phases, connections: CONNECTIONS, prefix: 'over-' }, signal),
    )
    const sizes = memory.end()
    // Twice, since the machine may have become slower meanwhile, or quicker.
    const capacityAfter = await capacityOf('after-', quick ? 2 : 10)
    const { created, refused } = result.phases[1]!
    progress(
      `  capacity ${Math.round(capacity)}/s, afterwards ${Math.round(capacityAfter)}/s; offered twice the former for ${seconds} s: ${Math.round(created.count / seconds)}/s served, ` +
        `${refused.count} refused, p50 ${created.p50} and ${refused.p50} ms; longest ${created.max} and ${refused.max} ms`,
    )
    progress(
      `  memory ${sizes[0]} MB before, ${Math.max(...sizes)} at most, ${sizes.at(-1)} after, with ${CONNECTIONS} connections` +
        (cpu ? `; processors: service ${cpu.server.toFixed(2)}, generator ${cpu.client.toFixed(2)}, ` : '') +
        (cpu ? `PostgreSQL ${cpu.postgres?.toFixed(2) ?? '–'}, others ${cpu.others.toFixed(2)}` : ''),
    )
    const offered = Math.round(capacity * 2) * seconds
    const late = result.late + result.unsent
    return {
      values: {
        'overload-kept': [created.count / seconds / ((capacity + capacityAfter) / 2)],
        'overload-p99': [created.p99],
        'overload-refusal': [refused.p99],
        'overload-normal': [untilNormal(result, seconds)],
        'overload-memory': [sizes.at(-1)! / sizes[sizes.length >> 1]!],
      },
      problems: [...wrongs(result), ...(await lost(databaseUrl, result))],
      // A few do no harm: their times count from when they were due.
      ...(late > offered / 20 && {
        void: `the load was no open loop: of ${offered} requests the generator sent ${late} too late or not at all`,
      }),
    }
  },
})

/** Milliseconds from the end of the overload to the first whole second in which nobody was refused or waited longer than before. */
function untilNormal({ moments }: OpenLoopResult, seconds: number): number {
  // The very first requests of connections are slower.
  const before = moments.slice(10, CALM_BEFORE * 10)
  const usual = Math.max(...before.map(({ created }) => created.max))
  const after = moments.slice((CALM_BEFORE + seconds) * 10)
  const calm = after.map(({ created, refused }) => refused.count === 0 && created.p99 <= usual)
  for (let first = 0; first + 10 <= calm.length; first++) {
    if (!calm.slice(first, first + 10).includes(false)) return first * 100
  }
  return calm.length * 100
}

function wrongs({ wrong, firstWrong, broken, unhelpful, unanswered }: OpenLoopResult): string[] {
  return [
    ...(wrong === 0 ? [] : [`${wrong} answers were neither an allocation nor a refusal, the first: ${firstWrong}`]),
    ...(broken === 0 ? [] : [`${broken} connections broke`]),
    ...(unhelpful === 0 ? [] : [`${unhelpful} refusals were without Retry-After`]),
    ...(unanswered === 0 ? [] : [`${unanswered} requests had no answer`]),
  ]
}

/** What was answered is in the database, once. What the database was too slow for may be in it, too. */
function lost(databaseUrl: string, { moments }: OpenLoopResult): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const created = moments.reduce((sum, moment) => sum + moment.created.count, 0)
    const held = await countHoldings(client, 'over-')
    const isRight = [held.names, held.addresses, held.audited_created].every((count) => count === held.rows)
    return held.rows >= created && isRight ? [] : [`${created} answers of 201, and ${JSON.stringify(held)}`]
  })
}

/** Resident megabytes of a process, looked at four times a second. */
class Memory {
  readonly #sizes: number[] = []
  readonly #timer = setInterval(() => this.#look(), 250)

  constructor(private readonly pid: number) {
    this.#look()
  }

  end(): number[] {
    clearInterval(this.#timer)
    return this.#sizes
  }

  #look(): void {
    const size = residentMegabytes(this.pid)
    if (size !== undefined) this.#sizes.push(Math.round(size))
  }
}
