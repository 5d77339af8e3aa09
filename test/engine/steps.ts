import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import type pg from 'pg'
import { Problem } from '../../src/core/errors.js'
import { type Family, formatAddress, parseAddress } from '../../src/core/ip.js'
import { allocate } from '../../src/domain/allocations.js'
import type { Context } from '../../src/domain/context.js'
import { deleteNode, register } from '../../src/domain/nodes.js'
import { getPool } from '../../src/domain/pools.js'
import { sweep } from '../../src/domain/reclaim.js'
import { release } from '../../src/domain/releases.js'
import { createReservation, deleteReservation } from '../../src/domain/reservations.js'
import { violations, wrongNumbers } from '../support/invariants.js'
import type { Model, Row, Wish } from './model.js'

type Step =
  | { kind: 'allocate'; node: string; wish: 'none' | 'pool' | 'address' | 'own'; at: number }
  | { kind: 'crowd'; nodes: string[] }
  | { kind: 'release'; node: string; force: boolean }
  | { kind: 'releaseAddress'; at: number; force: boolean }
  | { kind: 'register'; node: string }
  | { kind: 'forget'; node: string; force: boolean }
  | { kind: 'endQuarantine'; at: number; all: boolean }
  | { kind: 'sweep' }
  | { kind: 'reserve'; at: number; length: number }
  | { kind: 'unreserve'; at: number }

const node = fc.constantFrom('n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9')
// One place in the two pools, edges included, and one just outside.
const at = fc.nat(16)
const force = fc.boolean()
const arbitraries = [
  fc.record({ kind: fc.constant('allocate' as const), node, wish: fc.constant('none' as const), at }),
  fc.record({
    kind: fc.constant('allocate' as const),
    node,
    wish: fc.constantFrom('pool' as const, 'address', 'own'),
    at,
  }),
  fc.record({ kind: fc.constant('crowd' as const), nodes: fc.uniqueArray(node, { minLength: 2 }) }),
  fc.record({ kind: fc.constant('release' as const), node, force }),
  fc.record({ kind: fc.constant('releaseAddress' as const), at, force }),
  fc.record({ kind: fc.constant('register' as const), node }),
  fc.record({ kind: fc.constant('forget' as const), node, force }),
  fc.record({ kind: fc.constant('endQuarantine' as const), at, all: fc.boolean() }),
  fc.record({ kind: fc.constant('sweep' as const) }),
  fc.record({ kind: fc.constant('reserve' as const), at, length: fc.nat(3) }),
  fc.record({ kind: fc.constant('unreserve' as const), at }),
] satisfies fc.Arbitrary<Step>[]

/** Every step there is, as a command for fast-check. */
export const steps = arbitraries.map((arbitrary) =>
  (arbitrary as fc.Arbitrary<Step>).map((step) => new StepCommand(step)),
)

/** The engine, and a connection past it. */
export interface Real {
  context: Context
  client: pg.Client
  family: Family
}

/** Does a step, and looks at everything. */
class StepCommand implements fc.AsyncCommand<Model, Real> {
  constructor(readonly step: Step) {}
  check = () => true
  toString = () => JSON.stringify(this.step)
  async run(model: Model, real: Real): Promise<void> {
    await perform(this.step, model, real)
    deepStrictEqual(await violations(real.client), [])
    deepStrictEqual(await storedRows(real), model.rows.map(lineOf(real)).sort())
    const pools = await Promise.all(model.pools.map(({ name }) => getPool(real.context, name)))
    deepStrictEqual(
      await wrongNumbers(
        real.client,
        pools.map(({ pool }) => pool),
      ),
      [],
    )
  }
}

/** Does it with the engine and with the model, and compares what they say. */
async function perform(step: Step, model: Model, { context, client, family }: Real): Promise<void> {
  const text = (value: bigint) => formatAddress({ family, value })
  const pick = (index: number): bigint => {
    const pool = model.pools[index % 2]!
    return pool.first + BigInt(index >> 1)
  }
  switch (step.kind) {
    case 'allocate': {
      // 'own': an address that rests after the same node had it.
      const resting = model.rows.filter((row) => row.node === step.node && row.state === 'quarantined')
      const own = step.wish === 'own' ? resting[step.at % resting.length] : undefined
      const address = own?.address ?? pick(step.at)
      const wishes: Record<typeof step.wish, Wish> = {
        none: {},
        pool: { pool: poolAt(step.at) },
        address: { address },
        own: { address },
      }
      const wish = wishes[step.wish]
      const expected = model.expected(step.node, wish)
      const answer = await outcome(
        allocate(context, {
          nodeName: step.node,
          ...(wish.pool !== undefined && { pool: wish.pool }),
          ...(wish.address !== undefined && { address: text(wish.address) }),
        }),
      )
      if ('refusal' in expected) return equal(answer, expected.refusal)
      ok(typeof answer === 'object', `refused with ${answer}, expected ${Object.values(expected)}`)
      const { created, allocation } = answer
      const got = parseAddress(allocation.uniqueIp).value
      if ('existing' in expected) {
        deepStrictEqual([created, got], [false, expected.existing])
        equal(allocation.sequence, model.holding(step.node)!.sequence)
      } else {
        ok(created && expected.oneOf.includes(got), `${allocation.uniqueIp} is none of ${expected.oneOf.map(text)}`)
        model.give(step.node, got, allocation.sequence)
      }
      return
    }
    case 'crowd': {
      // In one batch the order among them is the engine's own, so what counts is what they have together.
      const answers = await Promise.all(step.nodes.map((nodeName) => outcome(allocate(context, { nodeName }))))
      for (const [index, nodeName] of step.nodes.entries()) {
        const answer = answers[index]!
        if (typeof answer === 'string') continue
        const got = parseAddress(answer.allocation.uniqueIp).value
        equal(answer.created, !model.holding(nodeName))
        if (!answer.created) equal(got, model.holding(nodeName)!.address)
        else {
          const row = model.at(got)
          ok(!row || row.over || model.meantByName(nodeName) === row, `${text(got)} was not to be had`)
          ok(!model.isReserved(got), `${text(got)} is reserved`)
          model.give(nodeName, got, answer.allocation.sequence)
        }
      }
      const refused = answers.filter((answer) => typeof answer === 'string')
      deepStrictEqual([...new Set(refused)], refused.length > 0 ? ['pool_exhausted'] : [])
      if (refused.length > 0)
        deepStrictEqual(
          model.pools.flatMap((pool) => model.available(pool)),
          [],
        )
      return
    }
    case 'release':
    case 'releaseAddress': {
      const by = step.kind === 'release' ? { nodeName: step.node } : { address: text(pick(step.at)) }
      const row = step.kind === 'release' ? model.meantByName(step.node) : model.meantByAddress(pick(step.at))
      const expected = model.release(row, step.force)
      const answer = await outcome(release(context, by, { meant: undefined, force: step.force }))
      if (typeof expected === 'string') return equal(answer, expected)
      ok(typeof answer === 'object', `refused with ${answer}`)
      return deepStrictEqual([answer.state, answer.sequence], ['quarantined', expected.sequence])
    }
    case 'register': {
      const row = model.holding(step.node)
      const answer = await outcome(register(context, step.node, {}, { allocate: false, meant: undefined }))
      if (!row) return equal(answer, 'node_not_found')
      row.state = 'registered'
      return equal((answer as { sequence: number }).sequence, row.sequence)
    }
    case 'forget': {
      const row = model.holding(step.node)
      const answer = await outcome(deleteNode(context, step.node, { meant: undefined, force: step.force }))
      if (!model.nodes.has(step.node)) return equal(answer, 'node_not_found')
      if (row && typeof model.release(row, step.force) === 'string') return equal(answer, 'node_still_registered')
      equal(answer, undefined)
      model.forget(step.node)
      return
    }
    case 'endQuarantine': {
      for (const row of model.rows) {
        if (row.state !== 'quarantined' || !(step.all || row.address === pick(step.at))) continue
        row.over = true
        await client.query(
          `update allocations set quarantined_until = clock_timestamp() where address = $1 and state = 'quarantined'`,
          [text(row.address)],
        )
      }
      return
    }
    case 'sweep':
      equal(await sweep(context.db, new AbortController().signal), model.rows.filter((row) => row.over).length)
      return model.sweep()
    case 'reserve': {
      const first = pick(step.at)
      const last = first + BigInt(step.length)
      const pool = model.poolOf(first)
      const range = { start: text(first), end: text(last), reason: 'a test' }
      const answer = await outcome(createReservation(context, poolAt(step.at), range))
      if (!pool || last > pool.last || pool.name !== poolAt(step.at)) return equal(answer, 'reservation_outside_pool')
      if (model.reservations.some((other) => other.first <= last && first <= other.last)) {
        return equal(answer, 'reservation_overlap')
      }
      const inUse = model.rows.some((row) => row.state !== 'quarantined' && first <= row.address && row.address <= last)
      if (inUse) return equal(answer, 'address_in_use')
      ok(typeof answer === 'object', `refused with ${answer}`)
      model.reservations.push({ id: answer.id, pool, first, last })
      return
    }
    case 'unreserve': {
      const reservation = model.reservations[step.at % Math.max(1, model.reservations.length)]
      if (!reservation) return
      equal(await outcome(deleteReservation(context, reservation.pool.name, reservation.id, undefined)), undefined)
      model.reservations = model.reservations.filter((other) => other !== reservation)
    }
  }
}

/** There are two. */
export const poolAt = (index: number) => ['a', 'b'][index % 2]!

/** The answer, or the code of the refusal. */
async function outcome<T>(work: Promise<T>): Promise<T | string> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

const lineOf =
  ({ family }: Real) =>
  (row: Row) =>
    `${formatAddress({ family, value: row.address })} ${row.node} ${row.state} ${row.over} ${row.sequence}`

async function storedRows({ client }: Real): Promise<string[]> {
  const { rows } = await client.query(
    `select host(address) || ' ' || node_name || ' ' || state || ' '
       || coalesce(quarantined_until <= clock_timestamp(), false) || ' ' || sequence as line from allocations`,
  )
  return rows.map((row) => row.line).sort()
}
