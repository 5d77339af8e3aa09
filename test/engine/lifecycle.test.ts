import fc from 'fast-check'
import t from 'tap'
import { parseCidr } from '../../src/core/ip.js'
import { usableRange } from '../../src/core/pool.js'
import { createPool } from '../../src/domain/pools.js'
import { startEngineAlone } from './house.js'
import { Model, type ModelPool } from './model.js'
import { poolAt, steps } from './steps.js'

// Random lives of two tiny pools, step by step against a model: after every step the engine has said what the model
// says, the tables hold what the model holds, and every invariant is true.

const RUNS = Number(process.env.EDGE_IPAM_TEST_MODEL_RUNS ?? 20)

for (const [family, cidrs] of [
  [4, ['10.0.0.0/29', '10.0.1.0/29']],
  [6, ['2001:db8::/125', '2001:db8::100/125']],
] as const) {
  t.test(`two tiny pools live as the model says, IPv${family}`, { timeout: 280_000 }, async (t) => {
    const { context, connect } = await startEngineAlone(t)
    const client = await connect()
    const pools = cidrs.map((cidr, index): ModelPool => {
      const { first, last } = parseCidr(cidr)
      const usable = usableRange(parseCidr(cidr))
      const addresses = Array.from(
        { length: Number(usable.last - usable.first) + 1 },
        (_, i) => usable.first + BigInt(i),
      )
      return { name: poolAt(index), first, last, usable: addresses }
    })
    const setUp = async () => {
      // The audit trail refuses to be emptied; a superuser can still do it.
      await client.query(`set session_replication_role = replica;
        truncate pools, free_ranges, reservations, allocations, nodes, audit;
        set session_replication_role = origin`)
      for (const [index, cidr] of cidrs.entries()) {
        await createPool(context, { name: poolAt(index), cidr, priority: index })
      }
      return { model: new Model(pools), real: { context, client, family } }
    }
    await fc.assert(
      fc.asyncProperty(fc.commands(steps, { maxCommands: 60, size: 'max' }), async (commands) => {
        const ready = await setUp()
        await fc.asyncModelRun(() => ready, commands)
      }),
      { numRuns: RUNS },
    )
    t.pass(`${RUNS} lives`)
  })
}
