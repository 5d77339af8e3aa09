import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Builder } from '../contest.js'
import { cores } from '../cpu.js'
import { Absent } from '../measurement.js'
import type { Scope } from '../scope.js'
import { newestInstalled, withClient } from '../servers/postgres.js'
import type { Effort } from '../turns.js'

/** PostgreSQL's own measure: how many clients' rows it commits, one a transaction, without anybody's program between. */
export function pgbench(clients: number): Builder {
  return async (bench, scope) => {
    const program = findPgbench()
    if (program === undefined)
      throw new Absent('no pgbench: it comes with the package postgresql-contrib or postgresql')
    const databaseUrl = await bench.postgres.createDatabase(scope)
    return {
      watched: { servers: [], postmaster: bench.postgres.postmaster },
      measure: await prepare(program, databaseUrl, clients, scope, bench.signal),
    }
  }
}

/** The program, or undefined when it is not installed. Debian's own comes first: what is on the PATH there is a wrapper. */
function findPgbench(): string | undefined {
  const installed = newestInstalled()
  const candidates = [...(installed === undefined ? [] : [join(installed, 'pgbench')]), 'pgbench']
  return candidates.find((program) => {
    try {
      execFileSync(program, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

/** A table with a key and two columns, and a statement that is prepared once: as cheap as a durable row can be. */
async function prepare(
  program: string,
  databaseUrl: string,
  clients: number,
  scope: Scope,
  signal: AbortSignal,
): Promise<(seconds: number) => Promise<Effort>> {
  await withClient(databaseUrl, (client) =>
    client.query('create table rows (id bigint generated always as identity primary key, name text, address inet)'),
  )
  const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-bench-pgbench-'))
  scope.onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, 'insert.sql')
  writeFileSync(script, "insert into rows (name, address) values ('edge-' || :client_id, '10.0.0.1');\n")
  const { hostname, port, username, password, pathname, searchParams } = new URL(databaseUrl)
  const env = {
    PATH: process.env.PATH,
    PGHOST: searchParams.get('host') ?? hostname,
    PGPORT: port || '5432',
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: pathname.slice(1),
    ...(searchParams.has('sslmode') && { PGSSLMODE: searchParams.get('sslmode')! }),
  }
  return (seconds) =>
    new Promise((resolve, reject) => {
      // Latencies of every 20th transaction: a line for each would cost more than it tells.
      const log = ['--log', '--sampling-rate=0.05', `--log-prefix=${join(folder, 'log')}`]
      const threads = Math.min(cores, clients)
      const args = ['-n', '-M', 'prepared', '-c', clients, '-j', threads, '-T', seconds, '-f', script, ...log]
      const child = spawn(program, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'], env, signal })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk) => {
          output += chunk
        })
      }
      child.once('error', reject)
      child.once('close', (code) => {
        const rate = Number(/^tps = ([\d.]+)/m.exec(output)?.[1])
        const requests = Number(/actually processed: (\d+)/.exec(output)?.[1])
        if (code !== 0 || !(rate > 0)) reject(new Error(`pgbench ended with ${code}:\n${output.trim()}`))
        else resolve({ rate, requests, ...latencies(folder) })
      })
    })
}

function latencies(folder: string): { p50: number; p99: number } {
  const times: number[] = []
  for (const name of readdirSync(folder).filter((one) => one.startsWith('log'))) {
    const file = join(folder, name)
    // client, transaction, microseconds, …
    for (const line of readFileSync(file, 'utf8').split('\n')) if (line) times.push(Number(line.split(' ')[2]) / 1000)
    if (existsSync(file)) rmSync(file)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}
