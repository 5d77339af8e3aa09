import { Agent } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { startCloudcore } from '../../test/kubernetes/cloudcore.js'
import { installHook } from '../../test/kubernetes/webhook.js'
import { watchCpu } from '../cpu.js'
import { Absent, type Bench } from '../measurement.js'
import type { Finding } from '../probe.js'
import { residentMegabytes } from '../resident.js'
import type { Scope } from '../scope.js'
import { certificates, type HttpServer } from '../servers/http.js'
import { withClient } from '../servers/postgres.js'
import { middle } from '../statistics.js'
import { startAndLook } from './first-look.js'
import { clusterFleet, inTurns, wasLookedAt } from './fleet.js'

/** Three minutes, when rounds last as long as they do by default. */
const SECONDS_FOR_EACH_OF_A_ROUND = 30
/** Each node writes its status so often (s): three times as often as KubeEdge's do. */
const STATUS_EVERY = 100

/** What a process needs that works for a cluster in which every node is up, and nothing else happens. */
export async function measureSteady(bench: Bench, scope: Scope): Promise<Finding> {
  const fleet = await clusterFleet(bench)
  const { lab, names } = fleet
  const server = await withClient(fleet.databaseUrl, (client) =>
    startAndLook(bench, scope, fleet, { client, profile: 'cluster-steady' }),
  )
  if (residentMegabytes(server.pid) === undefined) throw new Absent('this system does not tell the memory of a process')
  const synced = residentMegabytes(server.pid)!
  const agent = new Agent({ keepAlive: true })
  scope.onEnd(() => agent.destroy())
  const cloudcore = await startCloudcore(lab, { agent })
  await installHook(lab, server.url, `${certificates}authority.crt`)
  while (!(await metrics(server)).includes('edge_ipam_hook_reviews_total{')) await cloudcore.beat(names[0]!)
  // The hook sees each for the first time; from now on it knows them.
  await inTurns(names, (name) => cloudcore.beat(name))

  const watched = { servers: [server.pid], postmaster: bench.postgres.postmaster }
  const seconds = bench.quick ? 20 : bench.seconds * SECONDS_FOR_EACH_OF_A_ROUND
  const samples: number[] = []
  const sampling = setInterval(() => samples.push(residentMegabytes(server.pid) ?? Number.NaN), 500)
  const { cpu: steady } = await watchCpu(watched, () => beats(seconds))
  clearInterval(sampling)

  const looking = bench.quick ? 10 : 30
  const { result: looks, cpu: busy } = await watchCpu(watched, async () => {
    const [looks] = await Promise.all([looksWhileChanging(looking), beats(looking)])
    return looks
  })

  async function beats(seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1000
    for (let turn = 0; performance.now() < until; turn++) {
      await Promise.all([cloudcore.beat(names[turn % names.length]!), pause((STATUS_EVERY * 1000) / names.length)])
    }
  }

  /** Something changes each second, so that the cluster has to be looked at. @returns how often it was */
  function looksWhileChanging(seconds: number): Promise<number> {
    return withClient(fleet.databaseUrl, async (client) => {
      let looks = 0
      const until = performance.now() + seconds * 1000
      for (let turn = 0; performance.now() < until; turn++) {
        if (turn % 10 === 0) await rename(server, names.at(-1)!, `192.168.2.${turn % 250}`)
        if (await wasLookedAt(client)) looks++
        await pause(100)
      }
      return looks
    })
  }

  const around = (part: number) =>
    middle(samples.slice(Math.floor(part * samples.length * 0.9)).slice(0, Math.ceil(samples.length / 10)))
  const [third, end, most] = [around(1 / 3), around(1), Math.max(...samples)]
  const heap = Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(await metrics(server))?.[1]) / 2 ** 20
  const told = [synced, third, end, most, heap].map((one) => one.toFixed(0))
  bench.progress(
    `  ${told[0]} MB when synced, ${told[1]} MB after a third of ${seconds} s, ${told[2]} MB at the end, ${told[3]} MB at most; heap ${told[4]} MB; ${looks} looks in ${looking} s`,
  )
  const milliseconds = (share: number | null | undefined) => (share == null ? [] : [share * 1000])
  const look =
    busy?.postgres == null || steady?.postgres == null
      ? []
      : [((busy.server + busy.postgres - steady.server - steady.postgres) * looking * 1000) / looks]
  return {
    values: {
      'cluster-memory': [most],
      'cluster-growth': bench.quick ? [] : [end / third],
      'cluster-service': milliseconds(steady?.server),
      'cluster-database': milliseconds(steady?.postgres),
      'cluster-look': look,
    },
  }
}

async function metrics({ mainUrl, token }: HttpServer): Promise<string> {
  const answer = await fetch(`${mainUrl}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  return answer.text()
}

async function rename({ mainUrl, token }: HttpServer, name: string, displayIp: string): Promise<void> {
  const answer = await fetch(`${mainUrl}/v1/nodes/${name}`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ displayIp }),
  })
  if (!answer.ok) throw new Error(await answer.text())
}
