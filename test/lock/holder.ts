/** A process with a lock of its own, led by its parent: holds a key, lets go of it, tells its counters. */
import { createLock } from '../../src/lock/allocation-lock.js'
import { gate } from './support.js'

type Order = { hold: string } | { letGo: true } | { stats: true }

const log = { info: () => {}, warn: (_fields: object, message: string) => console.error(message) }
const lock = createLock({ ...JSON.parse(process.argv[2]!), log })
const tell = (message: { about: string; stats?: object }) => process.send?.(message)
let end = gate()
let run = Promise.resolve()

process.on('message', async (order: Order) => {
  if ('hold' in order) {
    end = gate()
    run = lock.run([order.hold], async () => {
      tell({ about: 'inside' })
      await end.opened
    })
  } else if ('letGo' in order) {
    end.open()
    await run
    tell({ about: 'outside' })
  } else {
    tell({ about: 'stats', stats: lock.stats })
  }
})

await lock.run(['first'], async () => {})
tell({ about: 'connected' })
