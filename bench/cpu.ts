import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** Cores that were busy on average over some time, by what kept them busy: 0.5 is half a core. */
export interface CpuShares {
  /** The load generator. */
  client: number
  /** Who is asked: the service with all its replicas, or the bare server. */
  server: number
  /** PostgreSQL with all its processes; null where it runs elsewhere. */
  postgres: number | null
  /** Whatever else this machine did: the smaller, the more the figures are worth. */
  others: number
}

export interface Watched {
  servers: readonly number[]
  postmaster: number | null
}

/** Linux counts in hundredths of a second, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100

interface ProcessTimes {
  parent: number
  own: number
  /** Of children that have ended and were waited for. */
  ended: number
}

function timesOf(pid: number | 'self'): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    return { parent: fields[1]!, own: fields[11]! + fields[12]!, ended: fields[13]! + fields[14]! }
  } catch {
    return undefined
  }
}

/** The postmaster of a backend; null when that is not a process of this machine. */
export function parentOfPostgres(backend: number): number | null {
  try {
    if (readFileSync(`/proc/${backend}/comm`, 'latin1').trim() !== 'postgres') return null
    return timesOf(backend)?.parent ?? null
  } catch {
    return null
  }
}

/** Of a process and its children: PostgreSQL has a process for each connection. */
function familyTicks(postmaster: number): number {
  let ticks = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const times = timesOf(Number(name))
    if (Number(name) === postmaster) ticks += (times?.own ?? 0) + (times?.ended ?? 0)
    else if (times?.parent === postmaster) ticks += times.own
  }
  return ticks
}

/** All that the machine did, and what its host kept from it. */
function machineTicks(): number {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1')
    .split('\n')[0]!
    .trim()
    .split(/ +/)
    .slice(1)
    .map(Number)
  return user! + nice! + system! + irq! + softirq! + steal!
}

function snapshot({ servers, postmaster }: Watched) {
  const self = timesOf('self')!
  return {
    at: performance.now(),
    // Generators are the only children that end during a round.
    client: self.ended,
    own: self.own,
    server: servers.reduce((sum, pid) => sum + (timesOf(pid)?.own ?? 0), 0),
    postgres: postmaster === null ? 0 : familyTicks(postmaster),
    machine: machineTicks(),
  }
}

/** Runs the work, which has to wait for the end of the generator, and says who used the processors meanwhile. */
export async function watchCpu<T>(
  watched: Watched,
  work: () => Promise<T>,
): Promise<{ result: T; cpu: CpuShares | null }> {
  if (process.platform !== 'linux') return { result: await work(), cpu: null }
  const before = snapshot(watched)
  const result = await work()
  const after = snapshot(watched)
  const share = (key: 'client' | 'own' | 'server' | 'postgres' | 'machine') =>
    (after[key] - before[key]) / TICKS_PER_SECOND / ((after.at - before.at) / 1000)
  const [client, server, postgres] = [share('client'), share('server'), share('postgres')]
  return {
    result,
    cpu: {
      client,
      server,
      postgres: watched.postmaster === null ? null : postgres,
      others: Math.max(0, share('machine') - client - server - postgres - share('own')),
    },
  }
}

export const cores = cpus().length
