import type { Test } from 'tap'
import type { Reply } from '../support/load.js'
import { LOAD, type Replicas } from './replicas.js'

// Everything that can meet at an address, a name or a pool, at once. Each part says what must come of it, whatever
// fails meanwhile; a 201 whose answer was lost comes back as 200, so where attempts were repeated a 201 may be missing.

export interface MixOptions {
  /** Called once, when about half of the work is done. */
  halfway?: () => Promise<unknown> | unknown
}

const numbers = (length: number) => Array.from({ length }, (_, index) => index)

/** Each job so often, all turns of one job next to each other, so that they are under way at the same time. */
function* turns<Job>(jobs: readonly Job[], times: number): Generator<Job> {
  for (const job of jobs) for (let turn = 0; turn < times; turn++) yield job
}

/** A pool with these settings, made by the first replica. */
async function makePool({ services }: Replicas, pool: object): Promise<void> {
  const answer = await services[0]!.call('POST', '/v1/pools', pool)
  if (answer.status !== 201) throw new Error(answer.text)
}

export async function mix(t: Test, replicas: Replicas, { halfway }: MixOptions = {}): Promise<void> {
  await makePool(replicas, { name: 'other', cidr: '10.214.0.0/20', priority: 200 })
  await makePool(replicas, {
    name: 'tiny',
    cidr: '10.215.0.0/28',
    priority: 300,
    quarantineSeconds: 0,
    state: 'active',
  })
  const names = Math.round(200 * LOAD)
  let answers = 0
  const countdown = (async () => {
    // What fails does so in the middle of the first part, whose answers are many.
    while (halfway && answers < names * 1.5) await new Promise((resolve) => setTimeout(resolve, 2))
    await halfway?.()
  })()
  await sameNames(t, replicas, names, () => answers++)
  await countdown
  await replicas.sound('the same names on several replicas')
  await foughtOver(t, replicas)
  await replicas.sound('addresses that many ask for')
  await comingAndGoing(t, replicas)
  await replicas.sound('releases and returns')
  await twoPools(t, replicas)
  await replicas.sound('two pools for one name')
  await fullPool(t, replicas)
  await replicas.sound('a full pool')
}

/** New names, each asked for three times at once on different replicas: one address each. */
async function sameNames(t: Test, { load }: Replicas, count: number, onAnswer: () => void): Promise<void> {
  const replies = new Map<string, Reply[]>()
  await load.run(turns(numbers(count), 3), async (number, connection) => {
    const reply = await load.allocate(connection, `new-${number}`)
    replies.set(`new-${number}`, [...(replies.get(`new-${number}`) ?? []), reply])
    onAnswer()
  })
  const different = [...replies].filter(
    ([, all]) => new Set(all.map(({ body }) => `${body.uniqueIp} ${body.sequence}`)).size !== 1,
  )
  t.same(different, [], 'every retry has the same answer')
  t.equal(new Set([...replies.values()].map(([first]) => first!.body.uniqueIp)).size, count, 'no two nodes share')
  const made = [...replies.values()].map((all) => all.filter(({ status }) => status === 201).length)
  t.ok(
    made.every((times) => (load.repeated === 0 ? times === 1 : times <= 1)),
    'one of a name made it, the rest met it',
  )
}

/** Addresses that many nodes ask for at once: one gets it. */
async function foughtOver(t: Test, { load }: Replicas): Promise<void> {
  const rivals = 16
  const addresses = numbers(Math.round(12 * LOAD)).map((number) => `10.214.1.${number + 1}`)
  const outcomes = new Map<string, string[]>()
  let nodes = 0
  await load.run(turns(addresses, rivals), async (address, connection) => {
    const { status, body } = await load.allocate(connection, `rival-${nodes++}`, { address })
    outcomes.set(address, [...(outcomes.get(address) ?? []), status < 300 ? body.uniqueIp : `${status} ${body.code}`])
  })
  for (const [address, all] of outcomes) {
    const wanted = [address, ...Array(rivals - 1).fill('409 address_in_use')].sort()
    t.same(all.sort(), wanted, `${address} has one winner`)
  }
}

/** Nodes that come, are asked for again while they go, and return: each answer speaks of what there was. */
async function comingAndGoing(t: Test, { load }: Replicas): Promise<void> {
  const strange: string[] = []
  const note = ({ status, body }: Reply, allowed: Record<number, string | undefined>) => {
    if (status in allowed && allowed[status] === body.code) return
    strange.push(`${status} ${JSON.stringify(body)}`)
  }
  // Three connections work on each name, without an order among them.
  await load.run(turns(numbers(Math.round(40 * LOAD)), 3), async (number, connection) => {
    const name = `guest-${number}`
    for (let round = 0; round < 3; round++) {
      const reply = await load.allocate(connection, name, { displayIp: `192.168.${connection}.${round + 1}` })
      note(reply, { 200: undefined, 201: undefined })
      if (reply.status >= 300) return
      note(await load.release(connection, name, reply.body.sequence), { 200: undefined, 412: 'precondition_failed' })
    }
  })
  t.same(strange, [], 'every answer is one of those that may come')
}

/** One name, asked for in two pools at once: one of them wins, the other is a conflict. */
async function twoPools(t: Test, { load }: Replicas): Promise<void> {
  const outcomes = new Map<string, string[]>()
  let turn = 0
  await load.run(turns(numbers(Math.round(40 * LOAD)), 2), async (number, connection) => {
    const pool = turn++ % 2 === 0 ? 'default' : 'other'
    const { status, body } = await load.allocate(connection, `both-${number}`, { pool })
    outcomes.set(`both-${number}`, [...(outcomes.get(`both-${number}`) ?? []), status < 300 ? 'has it' : body.code])
  })
  for (const [name, all] of outcomes) t.same(all.sort(), ['allocation_conflict', 'has it'], `${name} is in one pool`)
}

/** More nodes than addresses: as many as there are addresses get one, and the next one when one is free again. */
async function fullPool(t: Test, { load }: Replicas): Promise<void> {
  const held = new Map<string, number>()
  const refused: string[] = []
  await load.run(numbers(CROWD), async (number, connection) => {
    const { status, body } = await load.allocate(connection, `crowd-${number}`, { pool: 'tiny' })
    if (status < 300) held.set(`crowd-${number}`, body.sequence)
    else refused.push(`${status} ${body.code}`)
  })
  t.equal(held.size, 14, 'all its addresses are given away')
  t.same(refused, Array(CROWD - 14).fill('409 pool_exhausted'), 'the rest is told that it is full')
  // All change places at once: who goes makes room for one that waits.
  const leaving = [...held]
  await load.run(leaving, async ([name, sequence], connection) => {
    const released = await load.release(connection, name, sequence)
    t.equal(released.status, 200, `${name} leaves`)
    const next = await load.allocate(connection, `after-${name}`, { pool: 'tiny' })
    t.ok(next.status < 300, `after-${name} has its place (${next.status} ${next.body.code ?? ''})`)
  })
  const late = await load.allocate(0, 'too-late', { pool: 'tiny' })
  t.equal(late.body.code, 'pool_exhausted', 'and it is full again')
}

const CROWD = 60
