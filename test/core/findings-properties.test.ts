import fc from 'fast-check'
import t from 'tap'
import { keyOf } from '../../src/core/finding.js'
import { DAY, found, holds, MINUTE, now, service } from './findings-support.js'

// Few names and few addresses, so that they meet.
const name = fc.constantFrom('a', 'b', 'c', 'd')
const address = fc.constantFrom(
  '10.77.0.1',
  '10.77.0.2',
  '192.168.1.10',
  '172.17.0.1',
  '10.244.0.1',
  'fd00::1',
  '',
  'x',
)
const cidr = fc.constantFrom('10.77.0.0/25', '10.244.0.0/24', 'fd00::/64', '10.0.0.1/8', '')
const id = fc.constantFrom('', 'x', 'y')
const anyMachine = fc.record({ machineId: id, systemUuid: id, bootId: id })
const subject = fc.record({
  kind: fc.constantFrom('Service' as const, 'EndpointSlice' as const),
  namespace: fc.constantFrom('', 'n'),
  name,
})
const pictures = fc.record({
  cluster: fc.record({
    nodes: fc.uniqueArray(
      fc.record({
        name,
        isEdge: fc.boolean(),
        internalIps: fc.array(address, { maxLength: 3 }),
        podCidrs: fc.array(cidr, { maxLength: 2 }),
        machine: anyMachine,
      }),
      { selector: (node) => node.name },
    ),
    networks: fc.array(fc.record({ kind: fc.constantFrom('pod' as const, 'service' as const), cidr }), {
      maxLength: 2,
    }),
    references: fc.array(
      fc.record({
        subject,
        writtenAt: fc.constantFrom(0, now - 5 * DAY, now),
        addresses: fc.array(fc.record({ address, nodeName: fc.option(name, { nil: undefined }) }), { maxLength: 3 }),
      }),
      { maxLength: 4 },
    ),
  }),
  allocated: fc.record({
    pools: fc.constant([
      { name: 'edge', cidr: '10.77.0.0/24' },
      { name: 'six', cidr: 'fd00::/64' },
    ]),
    held: fc
      .uniqueArray(
        fc.record({
          nodeName: name,
          uniqueIp: fc.constantFrom('10.77.0.1', '10.77.0.2', '10.77.0.3', 'fd00::1'),
          state: fc.constantFrom('allocated' as const, 'registered' as const),
          age: fc.constantFrom(0, DAY, 30 * DAY),
          displayIp: fc.option(address),
          nodeUid: fc.constant(null),
        }),
        { selector: (one) => one.nodeName },
      )
      .map((list) => list.filter((one, index) => list.findIndex((other) => other.uniqueIp === one.uniqueIp) === index)),
    networks: fc.constant([{ kind: 'docker', cidr: '172.17.0.0/16' }]),
    former: fc.uniqueArray(
      fc.record({
        address,
        nodeName: name,
        from: fc.constantFrom(0, now - 9 * DAY),
        until: fc.constantFrom(null, now - DAY),
      }),
      { maxLength: 3, selector: (one) => one.address },
    ),
  }),
  sightings: fc
    .array(
      fc.record({
        name,
        addresses: fc.array(address, { maxLength: 3 }),
        machines: fc.array(
          fc.tuple(anyMachine, fc.nat(2 * 60 * MINUTE)).map(([one, ago]) => ({ ...one, at: now - ago })),
          { maxLength: 5 },
        ),
        lastSeen: fc.constant(null),
        absentSince: fc.constant(null),
        absences: fc.constant(0),
      }),
    )
    .map((list) => new Map(list.map((one) => [one.name, one]))),
})

t.test('whatever the pictures are, each finding is there once, and the order of a picture says nothing', async () => {
  fc.assert(
    fc.property(pictures, (one) => {
      const all = found(one)
      const keys = all.map(keyOf)
      if (new Set(keys).size !== keys.length) return false
      const backwards = found({
        cluster: {
          nodes: one.cluster.nodes.toReversed(),
          networks: one.cluster.networks.toReversed(),
          references: one.cluster.references.toReversed(),
        },
        allocated: {
          ...one.allocated,
          held: one.allocated.held.toReversed(),
          former: one.allocated.former.toReversed(),
        },
        sightings: new Map([...one.sightings].reverse()),
      })
      const texts = (list: typeof all) => list.map((finding) => `${keyOf(finding)}: ${finding.message}`).sort()
      return JSON.stringify(texts(all)) === JSON.stringify(texts(backwards))
    }),
    { numRuns: 2_000 },
  )
})

t.test('where every edge node has its unique IP and is registered, nothing is found', async () => {
  const healthy = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 254 }), fc.boolean(), anyMachine), {
    selector: ([host]) => host,
    maxLength: 30,
  })
  fc.assert(
    fc.property(healthy, (list) => {
      const nodes = list.map(([host, isEdge, one]) => ({
        name: `n${host}`,
        isEdge,
        internalIps: [isEdge ? `10.77.0.${host}` : `10.1.0.${host}`],
        podCidrs: [`10.244.${host}.0/24`],
        machine: one,
      }))
      const held = nodes.filter(({ isEdge }) => isEdge).map((node) => holds(node.name, node.internalIps[0]!))
      const references = nodes.map((node) => ({
        subject: { ...service, name: node.name },
        writtenAt: now,
        addresses: [{ address: node.internalIps[0]!, nodeName: node.name }],
      }))
      const cluster = { nodes, networks: [{ kind: 'service' as const, cidr: '10.96.0.0/12' }], references }
      return found({ cluster, allocated: { held } }).length === 0
    }),
  )
})
