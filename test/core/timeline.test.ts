import t from 'tap'
import { holdingAt, type TimelineRow } from '../../src/core/timeline.js'

const second = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, n))
const row = (n: number, action: string, after: TimelineRow['after'] = null, nodeName = 'edge-1'): TimelineRow => ({
  at: second(n),
  action,
  nodeName,
  pool: 'west',
  before: null,
  after,
})
const story = [
  row(1, 'allocation.created', { sequence: 5, displayIp: '192.168.1.10' }),
  row(2, 'allocation.registered', { state: 'registered', sequence: 5 }),
  row(3, 'node.updated', { displayIp: '192.168.1.20' }),
  row(4, 'node.reregistered', { nodeUid: 'b', sequence: 6 }),
  row(5, 'allocation.released', { sequence: 6, quarantinedUntil: second(7).toISOString() }),
  row(9, 'allocation.freed'),
]
const at = (n: number) =>
  holdingAt(
    story.filter((one) => one.at <= second(n)),
    second(n),
  )
const free = { state: 'free', pool: null, nodeName: null, displayIp: null, sequence: null }

t.test('tells each chapter of an address', async (t) => {
  t.match(at(0), { ...free, since: null })
  t.match(at(1), {
    state: 'allocated',
    pool: 'west',
    nodeName: 'edge-1',
    displayIp: '192.168.1.10',
    sequence: 5,
    since: second(1),
  })
  t.match(at(2), { state: 'registered', displayIp: '192.168.1.10', sequence: 5, since: second(2) })
  t.match(at(3), { state: 'registered', displayIp: '192.168.1.20', sequence: 5, since: second(2) })
  t.match(at(4), { state: 'registered', sequence: 6, since: second(2) })
  t.match(at(6), { state: 'quarantined', nodeName: 'edge-1', displayIp: '192.168.1.20', sequence: 6, since: second(5) })
})

t.test('an address is free the moment its quarantine ends, whenever that was noticed', async (t) => {
  t.match(at(7), { ...free, since: second(7) })
  t.match(at(8), { ...free, since: second(7) })
  t.match(at(10), { ...free, since: second(7) })
})

t.test('a node that comes back out of quarantine holds again', async (t) => {
  const rows = [...story.slice(0, 5), row(6, 'allocation.created', { sequence: 8 })]
  t.match(holdingAt(rows, second(8)), { state: 'allocated', nodeName: 'edge-1', sequence: 8, displayIp: null })
})
