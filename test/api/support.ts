import { randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import pg from 'pg'
import type { Test } from 'tap'
import type { Answer, CallOptions, Service } from '../support/service.js'

/** What every problem has to look like, whatever asked for it. Comes back with its body. */
export function problem(t: Test, answer: Answer, status: number, code: string, name = `${status} ${code}`) {
  const body = answer.body ?? {}
  t.equal(answer.status, status, `${name}: status (${answer.text.slice(0, 300)})`)
  t.match(answer.headers.get('content-type'), /^application\/problem\+json(;|$)/, `${name}: content type`)
  t.equal(body.code, code, `${name}: code`)
  t.equal(body.status, status, `${name}: status in the body`)
  for (const key of ['type', 'title', 'detail', 'requestId']) {
    t.ok(typeof body[key] === 'string' && body[key] !== '', `${name}: ${key} is a text`)
  }
  t.equal(body.requestId, answer.headers.get('x-request-id'), `${name}: the request id is the header's`)
  const known = new Set(['type', 'title', 'status', 'detail', 'code', 'requestId', 'errors'])
  t.same(
    Object.keys(body).filter((key) => !known.has(key)),
    [],
    `${name}: nothing else in it`,
  )
  if (body.errors !== undefined) {
    t.ok(Array.isArray(body.errors) && body.errors.length > 0, `${name}: errors are a list`)
    for (const error of body.errors) {
      t.same(Object.keys(error).sort(), ['message', 'path'], `${name}: a field error has path and message`)
      t.ok(typeof error.message === 'string' && error.message !== '', `${name}: a field error has a message`)
    }
  }
  return body
}

/** The paths of all field errors, sorted. */
export function paths(answer: Answer): string[] {
  return (answer.body?.errors ?? []).map((error: { path: string }) => error.path).sort()
}

export async function sql<Row extends pg.QueryResultRow>(
  databaseUrl: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return (await client.query<Row>(text, values)).rows
  } finally {
    await client.end()
  }
}

/**
 * All that the database holds, as one text for each table, and the sequence. When a token was last used is left out:
 * every request may write it.
 */
export async function snapshot({ databaseUrl }: Service): Promise<Record<string, string>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const found: Record<string, string> = {}
    const tables = await client.query(`select tablename as name from pg_tables where schemaname = 'public' order by 1`)
    for (const { name } of tables.rows) {
      const rows = await client.query(
        `select count(*) || ' rows, ' || coalesce(md5(string_agg(row, ',' order by row)), '') as text
         from (select (to_jsonb(x) - 'last_used_at')::text as row from ${client.escapeIdentifier(name)} x) rows`,
      )
      found[name] = rows.rows[0].text
    }
    const sequence = await client.query(`select last_value || ' ' || is_called as text from allocation_sequence`)
    found.sequence = sequence.rows[0].text
    return found
  } finally {
    await client.end()
  }
}

/** Has the quarantine of an address end now: nobody waits an hour. */
export async function endQuarantine(service: Service, address: string): Promise<void> {
  await sql(
    service.databaseUrl,
    `update allocations set quarantined_until = clock_timestamp() where address = $1 and state = 'quarantined'`,
    [address],
  )
}

/** A token of a role. */
export async function tokenOf(
  service: Service,
  role: string,
  more: object = {},
): Promise<{ id: string; secret: string }> {
  const answer = await service.call('POST', '/v1/tokens', { role, ...more })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body
}

/** Makes a pool, and fails where that does. */
export async function makePool(service: Service, name: string, cidr: string, more: object = {}): Promise<Answer> {
  const answer = await service.call('POST', '/v1/pools', { name, cidr, ...more })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer
}

/** Allocates, and fails where that does: comes back with the allocation. */
export async function give(service: Service, nodeName: string, more: object = {}, options: CallOptions = {}) {
  const answer = await service.call('POST', '/v1/allocations', { nodeName, ...more }, options)
  if (answer.status !== 201 && answer.status !== 200) throw new Error(answer.text)
  return answer.body
}

/** Has a finding of this node be open, as a look at the cluster would. */
export async function find(service: Service, nodeName: string, kind = 'unknown_node'): Promise<void> {
  await sql(
    service.databaseUrl,
    `insert into findings (kind, subject_kind, subject_name, message) values ($1, 'Node', $2, 'Nobody announced it.')
     on conflict do nothing`,
    [kind, nodeName],
  )
}

/** utilization of a pool, read out of the text of the answer: a double would not hold the numbers of a /48. */
export function utilization(text: string): Record<string, bigint> {
  const [, inside] = /"utilization":\{([^}]*)\}/.exec(text) ?? []
  if (inside === undefined) throw new Error(`no utilization in ${text}`)
  return Object.fromEntries(
    inside.split(',').map((pair) => {
      const [, key, value] = /^"(\w+)":(\d+)$/.exec(pair) ?? []
      if (key === undefined) throw new Error(`not an integer: ${pair}`)
      return [key, BigInt(value!)]
    }),
  )
}

/** One request by hand, for what fetch would not send: a path as it is, a body of bytes, headers twice. */
export function raw(
  service: Service,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string | string[]>; body?: Buffer | string } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(service.url)
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        hostname,
        port,
        method,
        path,
        agent: false,
        headers: {
          authorization: `Bearer ${service.adminToken}`,
          // Node leaves it out where it thinks that no body belongs.
          ...(body !== undefined &&
            !('transfer-encoding' in headers) && { 'content-length': `${Buffer.byteLength(body)}` }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const answered = new Headers()
          for (const [name, value] of Object.entries(response.headers)) answered.set(name, String(value))
          const isJson = /json/.test(answered.get('content-type') ?? '') && text !== ''
          resolve({
            status: response.statusCode!,
            headers: answered,
            body: isJson ? JSON.parse(text) : undefined,
            text,
          })
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

/** Waits for a condition, at most ten seconds. */
export async function until<T>(what: string, look: () => Promise<T | false> | T | false): Promise<T> {
  const end = Date.now() + 10_000
  for (;;) {
    const seen = await look()
    if (seen !== false) return seen
    if (Date.now() > end) throw new Error(`not within ten seconds: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A name that no other test uses. */
export function fresh(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`
}

/** Tests after which the database is as it is now. */
export async function refusing(
  t: Test,
  service: Service,
): Promise<(name: string, run: (t: Test) => Promise<void>) => void> {
  const before = await snapshot(service)
  return (name, run) => {
    t.test(name, async (t) => {
      await run(t)
      t.same(await snapshot(service), before, 'nothing changed in the database')
    })
  }
}
