import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import t from 'tap'
import { sql } from '../api/support.js'
import { createDatabase } from '../support/postgres.js'
import { type Answer, type Service, startService } from '../support/service.js'
import { startLosingProxy } from './losing-proxy.js'
import { expectNoErrors, expectSound, pileUp } from './pile.js'
import { until } from './support.js'

// Those who share a batch share its connection and its end, and nothing else.

const names = Array.from({ length: 12 }, (_, number) => `node-${number}`)

interface Kind {
  method: string
  path: (name: string) => string
  body?: (name: string) => object
  /** What has to be there before. */
  holds: boolean
  action: string
}

/** What callers do at the same time, so that it is done together. */
const kinds: Record<string, Kind> = {
  allocations: {
    method: 'POST',
    path: () => '/v1/allocations',
    body: (nodeName) => ({ nodeName, displayIp: '192.168.1.10' }),
    holds: false,
    action: 'allocation.created',
  },
  releases: {
    method: 'DELETE',
    path: (name) => `/v1/nodes/${name}/allocation`,
    holds: true,
    action: 'allocation.released',
  },
  registrations: {
    method: 'POST',
    path: (name) => `/v1/nodes/${name}/registration`,
    body: () => ({ nodeUid: 'uid-1' }),
    holds: true,
    action: 'allocation.registered',
  },
  'registrations of nodes that nobody announced': {
    method: 'POST',
    path: (name) => `/v1/nodes/${name}/registration?allocate=true`,
    body: () => ({ nodeUid: 'uid-1' }),
    holds: false,
    action: 'allocation.registered',
  },
}

async function prepare(service: Service, { holds }: Kind): Promise<void> {
  if (!holds) return
  for (const nodeName of names) await service.call('POST', '/v1/allocations', { nodeName })
}

const ask = (service: Service, { method, path, body }: Kind, name: string) =>
  service.call(method, path(name), body?.(name), { headers: { 'x-request-id': name } })

/** The changes of this kind, by node, as the audit trail tells them: the sequence and how often. */
async function done(databaseUrl: string, { action }: Kind) {
  const rows = await sql<{ name: string; sequence: number; times: number }>(
    databaseUrl,
    `select node_name as name, max(coalesce(after ->> 'sequence', before ->> 'sequence')::int) as sequence,
       count(*)::int as times from audit where action::text = $1 and request_id = node_name group by 1`,
    [action],
  )
  return new Map(rows.map((row) => [row.name, row]))
}

/** What stands in the tables, by node. */
async function held(databaseUrl: string) {
  const rows = await sql<{ name: string; uniqueIp: string; sequence: number }>(
    databaseUrl,
    `select node_name as name, host(address) as "uniqueIp", sequence::int from allocations`,
  )
  return new Map(rows.map(({ name, ...row }) => [name, row]))
}

/** Fails unless a repeated request finds it done, is answered with what stands in the tables, and does it no second time. */
async function expectDoneOnce(t: Parameters<typeof expectSound>[0], service: Service, databaseUrl: string, kind: Kind) {
  for (const name of names) {
    const again = await until('an answer', async () => {
      const answer = await ask(service, kind, name)
      return answer.status !== 503 && answer
    })
    const { uniqueIp, sequence } = again.body
    t.same({ uniqueIp, sequence }, (await held(databaseUrl)).get(name), `${name} is answered with what it has`)
    t.same((await ask(service, kind, name)).body, again.body, `${name} has the same answer each time`)
  }
  t.same(
    [...(await done(databaseUrl, kind)).values()].filter(({ times }) => times !== 1),
    [],
    'and all is done once',
  )
  t.equal((await done(databaseUrl, kind)).size, names.length, 'for everybody')
  await expectSound(t, service, databaseUrl)
}

for (const [what, kind] of Object.entries(kinds)) {
  t.test(
    `${what} that are committed, and the connection is lost with their answers`,
    { timeout: 120_000 },
    async (t) => {
      const databaseUrl = await createDatabase(t)
      const proxy = await startLosingProxy(t, databaseUrl)
      const service = await startService(t, { databaseUrl: proxy.url })
      await prepare(service, kind)
      const pile = await pileUp(t, service, databaseUrl)
      const waiting = await pile.add(names.map((name) => () => ask(service, kind, name)))
      // Not the first one, who came alone.
      const lost = proxy.loseAllOnce(async () => {
        const { size } = new Map([...(await done(databaseUrl, kind))].filter(([name]) => name !== names[0]))
        return size > 1
      })
      await pile.go()
      const [answers] = await Promise.all([Promise.all(waiting), lost])
      const refused = answers.filter(({ status }) => status >= 300)
      for (const { status, body } of refused) t.same([status, body.code], [503, 'store_unavailable'], 'nobody knows')
      const committed = await done(databaseUrl, kind)
      for (const [index, { status, body }] of answers.entries()) {
        if (status < 300)
          t.equal(committed.get(names[index]!)?.sequence, body.sequence, 'what was answered is committed')
      }
      const unanswered = names.filter((name, index) => answers[index]!.status === 503 && committed.has(name))
      t.comment(`${unanswered.length} of ${names.length} were committed and not answered`)
      t.ok(unanswered.length > 0, 'some were committed and not answered')
      const before = await held(databaseUrl)
      await expectDoneOnce(t, service, databaseUrl, kind)
      const after = await held(databaseUrl)
      for (const name of committed.keys()) t.same(after.get(name), before.get(name), `${name} has what was committed`)
    },
  )

  t.test(`${what}, and half of the callers hang up`, { timeout: 120_000 }, async (t) => {
    const service = await startService(t)
    const { databaseUrl } = service
    await prepare(service, kind)
    const pile = await pileUp(t, service, databaseUrl)
    const leaves = (index: number) => index % 2 === 1
    const waiting = await pile.add<Answer | (() => void)>(
      names.map((name, index) => () => (leaves(index) ? impatient : ask)(service, kind, name)),
    )
    const hangUps = await Promise.all(waiting.filter((_, index) => leaves(index)))
    for (let turn = 0; turn < 3; turn++) await service.call('GET', '/livez')
    for (const hangUp of hangUps as (() => void)[]) hangUp()
    await pile.go()
    const answers = await Promise.all(waiting)
    const committed = await done(databaseUrl, kind)
    for (const [index, name] of names.entries()) {
      if (leaves(index)) continue
      const { status, body, text } = answers[index] as Answer
      t.ok(status === 200 || status === 201, `${name} is served: ${text}`)
      t.equal(committed.get(name)?.sequence, body.sequence, 'with what is committed')
    }
    await until('nothing is left of them', async () => {
      const { text } = await service.call('GET', '/metrics')
      const count = (state: string) =>
        Number(new RegExp(`^edge_ipam_database_connections\\{state="${state}"\\} (\\d+)$`, 'm').exec(text)?.[1])
      // One of them asks for these numbers.
      return count('waiting') === 0 && count('total') - count('idle') <= 1
    })
    await expectDoneOnce(t, service, databaseUrl, kind)
    expectNoErrors(t, service)
  })
}

/** Sends a request; comes back with the way to hang up before it is answered. */
async function impatient(service: Service, { method, path, body }: Kind, name: string): Promise<() => void> {
  const request = httpRequest(`${service.url}${path(name)}`, {
    method,
    agent: false,
    headers: {
      authorization: `Bearer ${service.adminToken}`,
      'x-request-id': name,
      ...(body && { 'content-type': 'application/json' }),
    },
  })
  request.on('error', () => {})
  request.end(body && JSON.stringify(body(name)))
  await once(request, 'finish')
  return () => request.destroy()
}
