import t from 'tap'
import { keyOf } from '../../src/core/finding.js'
import type { ClusterNode, Holding, Memory } from '../../src/core/pictures.js'
import {
  DAY,
  edge,
  found,
  holds,
  MINUTE,
  now,
  type Pictures,
  patience,
  seen,
  server,
  service,
} from './findings-support.js'

const named = (address: string, nodeName?: string) => ({
  references: [{ subject: service, writtenAt: now - DAY, addresses: [{ address, nodeName }] }],
})
/** For how long a node had 10.77.0.1, in days before now. */
const had = (nodeName: string, from: number, until: number | null): Holding => ({
  address: '10.77.0.1',
  nodeName,
  from: now - from * DAY,
  until: until === null ? null : now - until * DAY,
})
const stale = ['stale_reference/Service/shop/front']
const inTurns = (...turns: [id: string, minutesAgo: number][]) =>
  seen('a', {
    machines: turns.map(([id, ago]) => ({
      machineId: id,
      systemUuid: '',
      bootId: `boot ${ago}`,
      at: now - ago * MINUTE,
    })),
  })
const atHome = { cluster: { nodes: [edge('a', ['10.77.0.1'])] }, allocated: { held: [holds('a', '10.77.0.1')] } }

const cases: Record<string, [Pictures, string[]]> = {
  'who has its unique IP is well': [atHome, []],
  'who reports another address has a mismatch': [
    { cluster: { nodes: [edge('a', ['192.168.1.10'])] }, allocated: { held: [holds('a', '10.77.0.1')] } },
    ['address_mismatch/Node//a'],
  ],
  'also where it was not registered yet': [
    {
      cluster: { nodes: [edge('a', ['192.168.1.10'])] },
      allocated: { held: [holds('a', '10.77.0.1', 'allocated', 0)] },
    },
    ['address_mismatch/Node//a'],
  ],
  'who reports nothing yet has none': [
    { cluster: { nodes: [edge('a', [])] }, allocated: { held: [holds('a', '10.77.0.1')] } },
    [],
  ],
  'of two families, one is its own': [
    { cluster: { nodes: [edge('a', ['fd00::10', '10.77.0.1'])] }, allocated: { held: [holds('a', '10.77.0.1')] } },
    [],
  ],
  'an edge node that nobody announced is unknown': [
    { cluster: { nodes: [edge('a', ['192.168.1.10'])] } },
    ['unknown_node/Node//a'],
  ],
  'a server that nobody announced is not': [{ cluster: { nodes: [server('a', ['192.168.1.10'])] } }, []],
  'who was registered and is not in the cluster is gone': [
    { allocated: { held: [holds('a', '10.77.0.1', 'registered', MINUTE)] } },
    ['node_gone/Node//a'],
  ],
  'who was registered in this minute may be on its way': [
    { allocated: { held: [holds('a', '10.77.0.1', 'registered', MINUTE - 1)] } },
    [],
  ],
  'who was in the cluster with another address and left it is gone, too': [
    {
      allocated: { held: [holds('a', '10.77.0.1', 'allocated', 2 * DAY)] },
      sightings: seen('a', { lastSeen: now - DAY, absentSince: now - DAY, absences: 1 }),
    },
    ['node_gone/Node//a'],
  ],
  'who was in the cluster before it was announced again has time to join': [
    {
      allocated: { held: [holds('a', '10.77.0.1', 'allocated', DAY)] },
      sightings: seen('a', { lastSeen: now - 2 * DAY, absentSince: now - 2 * DAY, absences: 9 }),
    },
    [],
  ],
  'a node has time to join': [{ allocated: { held: [holds('a', '10.77.0.1', 'allocated', patience - 1)] } }, []],
  'and not for ever': [
    { allocated: { held: [holds('a', '10.77.0.1', 'allocated', patience)] } },
    ['never_joined/Node//a'],
  ],
  'two with one address clash, servers too': [
    {
      cluster: {
        nodes: [server('a', ['192.168.1.10']), server('b', ['192.168.1.10']), server('c', ['192.168.1.11'])],
      },
    },
    ['duplicate_internal_ip/Node//a', 'duplicate_internal_ip/Node//b'],
  ],
  'an address that a node tells twice is no clash': [
    { cluster: { nodes: [edge('a', ['10.77.0.1', '10.77.0.1'])] }, allocated: { held: [holds('a', '10.77.0.1')] } },
    [],
  ],
  "another's address: a copied disk": [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1']), edge('b', ['10.77.0.1'])] },
      allocated: { held: [holds('a', '10.77.0.1'), holds('b', '10.77.0.2')] },
    },
    [
      'address_mismatch/Node//b',
      'duplicate_internal_ip/Node//a',
      'duplicate_internal_ip/Node//b',
      'suspicious_address/Node//b',
    ],
  ],
  'an address out of a pool that nobody gave': [
    { cluster: { nodes: [edge('a', ['10.77.0.9'])] } },
    ['suspicious_address/Node//a', 'unknown_node/Node//a'],
  ],
  'two machines that take turns claim one name': [
    { ...atHome, sightings: inTurns(['x', 70], ['y', 40], ['x', 5]) },
    ['name_claimed_twice/Node//a'],
  ],
  'also with something between': [
    { ...atHome, sightings: inTurns(['x', 30], ['y', 20], ['z', 10], ['x', 5], ['y', 1]) },
    ['name_claimed_twice/Node//a'],
  ],
  'a pool that overlaps the pods of a node': [
    { cluster: { nodes: [server('a', [], ['10.77.0.128/25'])] } },
    ['network_overlap/Pool//edge'],
  ],
  'a pool that overlaps the services': [
    { cluster: { networks: [{ kind: 'service', cidr: '10.0.0.0/8' }] } },
    ['network_overlap/Pool//edge'],
  ],
  'a pool that overlaps the pods of all nodes': [
    { cluster: { networks: [{ kind: 'pod', cidr: '10.0.0.0/8' }] } },
    ['network_overlap/Pool//edge'],
  ],
  'a pool that a server has an address in': [
    { cluster: { nodes: [server('a', ['10.77.0.9'])] } },
    ['network_overlap/Pool//edge'],
  ],
  'a pool that a server was given an address of': [
    { cluster: { nodes: [server('a', ['10.77.0.9'])] }, allocated: { held: [holds('a', '10.77.0.9')] } },
    [],
  ],
  'networks that only lie beside a pool': [
    { cluster: { nodes: [server('a', ['10.76.255.255', '10.77.1.0'], ['10.78.0.0/16', 'fd00::/64'])] } },
    [],
  ],
  'what is no address and no network hides nothing else': [
    {
      cluster: {
        nodes: [edge('a', ['', 'host.example', '10.77.0.1/24'], ['10.0.0.1/8', 'x'])],
        networks: [
          { kind: 'service', cidr: 'y' },
          { kind: 'service', cidr: '10.77.0.0/16' },
          { kind: 'service', cidr: '10.77.0.0/16' },
        ],
      },
    },
    ['network_overlap/Pool//edge', 'unknown_node/Node//a'],
  ],
  'a Service names what a node holds': [
    { cluster: named('10.77.0.1'), allocated: { held: [holds('a', '10.77.0.1', 'allocated', 0)] } },
    [],
  ],
  'a Service names what a node held': [{ cluster: named('10.77.0.1'), allocated: { former: [had('a', 9, 0)] } }, stale],
  'a Service names what a node reported': [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('192.168.1.10') },
      allocated: { held: [holds('a', '10.77.0.1')] },
      sightings: seen('a', { addresses: ['192.168.1.10', '10.77.0.1'] }),
    },
    stale,
  ],
  'a Service names what a node held before it was written, and nobody does': [
    { cluster: named('10.77.0.1'), allocated: { former: [had('a', 9, 8)] } },
    stale,
  ],
  'a Service names what a node has at its site': [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('192.168.1.10') },
      allocated: { held: [{ ...holds('a', '10.77.0.1'), displayIp: '192.168.1.10' }] },
      sightings: seen('a', { addresses: ['192.168.1.10', '10.77.0.1'] }),
    },
    [],
  ],
  'an endpoint names what its node has at its site': [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('192.168.1.10', 'a') },
      allocated: { held: [{ ...holds('a', '10.77.0.1'), displayIp: '192.168.1.10' }] },
      sightings: seen('a', { addresses: ['192.168.1.10', '10.77.0.1'] }),
    },
    [],
  ],
  'a Service names what somebody else had when it was written, and is meant': [
    {
      cluster: { nodes: [edge('b', ['10.77.0.1'])], ...named('10.77.0.1') },
      allocated: { held: [holds('b', '10.77.0.1')], former: [had('a', 9, 8), had('b', 7, null)] },
    },
    [],
  ],
  'a Service names what somebody else was given since': [
    {
      cluster: { nodes: [edge('b', ['10.77.0.1'])], ...named('10.77.0.1') },
      allocated: { held: [holds('b', '10.77.0.1')], former: [had('a', 9, 0.5), had('b', 0.4, null)] },
    },
    stale,
  ],
  'a Service names what its node gave back, and was given again': [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('10.77.0.1') },
      allocated: { held: [holds('a', '10.77.0.1')], former: [had('a', 9, 0.5), had('a', 0.4, null)] },
    },
    [],
  ],
  'a Service names what somebody else was given since, and its node still reports': [
    {
      cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('10.77.0.1') },
      allocated: { held: [holds('a', '10.77.0.2')], former: [had('a', 9, 0.5)] },
    },
    ['address_mismatch/Node//a', 'suspicious_address/Node//a'],
  ],
  'a Service names what no node ever had': [{ cluster: named('203.0.113.7') }, []],
  'a Service names what a server reports': [
    {
      cluster: { nodes: [server('s', ['10.1.0.1'])], ...named('10.1.0.1') },
      sightings: seen('s', { addresses: ['10.1.0.1'] }),
    },
    [],
  ],
  'an endpoint of a node names its pod': [
    { ...atHome, cluster: { ...atHome.cluster, ...named('10.244.1.7', 'a') } },
    [],
  ],
  'an endpoint names what its node has': [
    { ...atHome, cluster: { ...atHome.cluster, ...named('10.77.0.1', 'a') } },
    [],
  ],
  'an endpoint names what its node had': [
    {
      ...atHome,
      cluster: { ...atHome.cluster, ...named('192.168.1.10', 'a') },
      sightings: seen('a', { addresses: ['192.168.1.10'] }),
    },
    stale,
  ],
  'an endpoint names what another node holds': [
    { ...atHome, cluster: { nodes: [edge('a', ['10.77.0.1'])], ...named('10.77.0.1', 'b') } },
    stale,
  ],
}
for (const [name, [pictures, expected]] of Object.entries(cases)) {
  t.test(name, async (t) => t.same(found(pictures).map(keyOf).sort(), [...expected].sort()))
}

const suspicious =
  '172.17.0.1 172.31.0.1 10.88.0.1 169.254.3.4 127.0.0.1 0.0.0.0 fe80::1 ::1 10.244.3.1 172.30.9.9'.split(' ')
t.test('an address of a bridge, or of no network, is suspicious for an edge node', async (t) => {
  const networks = [
    { kind: 'docker', cidr: '172.30.0.0/16' },
    { kind: 'node', cidr: '192.168.0.0/16' },
  ]
  const kinds = (node: ClusterNode) =>
    found({
      cluster: { nodes: [node, server('b', ['10.1.0.2'], ['10.244.3.0/24', 'fd00:1::/64'])] },
      allocated: { held: [holds('a', '10.77.0.1')], networks },
    }).map(({ kind }) => kind)
  for (const address of [...suspicious, 'fd00:1::7']) {
    t.same(kinds(edge('a', [address])), ['address_mismatch', 'suspicious_address'], address)
    t.same(kinds(server('a', [address])), ['address_mismatch'], `${address} of a server`)
  }
  for (const address of ['192.168.1.10', '172.17.0.2', '172.16.0.1', '10.244.4.1', '203.0.113.7', 'fd00:2::7']) {
    t.same(kinds(edge('a', [address])), ['address_mismatch'], address)
  }
})

t.test('no name is claimed twice by one machine after another', async (t) => {
  const claimed = (sightings: Memory['sightings']) => found({ ...atHome, sightings }).length > 0
  t.notOk(claimed(inTurns(['x', 5])))
  t.notOk(claimed(inTurns(['x', 9], ['y', 5])), 'a device took the place of another')
  t.notOk(claimed(inTurns(['x', 9], ['y', 5], ['z', 1])))
  t.notOk(claimed(inTurns(['x', 9], ['x', 5], ['x', 1])), 'a machine boots again and again')
  t.notOk(claimed(inTurns(['x', 3000], ['y', 2900], ['x', 5])), 'a repaired device is put back')
  t.notOk(claimed(inTurns(['x', 90], ['y', 80], ['x', 60])), 'over, when nobody came back for an hour')
  t.notOk(claimed(inTurns(['x', 9], ['', 5], ['x', 1])), 'who says nothing is nobody')
  const copies = ['1', '2', '1'].map((bootId, i) => ({ machineId: 'm', systemUuid: 's', bootId, at: now + i - 9 }))
  t.ok(claimed(seen('a', { machines: copies })), 'copied disks differ by their boots')
})

t.test('a message names a few, and counts the others', async (t) => {
  const nodes = Array.from({ length: 9 }, (_, i) => edge(`n${i}`, ['192.168.1.10']))
  const messages = found({ cluster: { nodes } }).filter(({ kind }) => kind === 'duplicate_internal_ip')
  t.match(messages.find(({ subject }) => subject.name === 'n0')?.message, /n1, n2, n3, n4, n5 and 3 more/)
  t.match(messages.find(({ subject }) => subject.name === 'n8')?.message, /n0, n1, n2, n3, n4 and 3 more/)
  const few = found({ cluster: { nodes: nodes.slice(0, 3) } }).filter(({ kind }) => kind === 'duplicate_internal_ip')
  t.match(few.find(({ subject }) => subject.name === 'n1')?.message, /n0, n2:/)
})

t.test('a message does not change while nothing does', async (t) => {
  const messageAt = (age: number) =>
    found({ allocated: { held: [holds('a', '10.77.0.1', 'allocated', age)] } })[0]?.message
  t.equal(messageAt(patience + DAY), messageAt(patience + 9 * DAY))
  t.match(messageAt(patience), 'more than 7 days')
})

t.test('a stale reference says where the node is now', async (t) => {
  const [one] = found({
    ...atHome,
    cluster: { ...atHome.cluster, ...named('192.168.1.10') },
    sightings: seen('a', { addresses: ['192.168.1.10'] }),
  })
  t.match(one?.message, '192.168.1.10 (a, now 10.77.0.1)')
  const [other] = found({
    cluster: { nodes: [edge('a', ['192.168.1.11']), edge('b', ['192.168.1.12'])], ...named('192.168.1.10') },
    allocated: { held: [holds('a', '10.77.0.1')] },
    sightings: new Map(['a', 'b', 'c'].flatMap((name) => [...seen(name, { addresses: ['192.168.1.10'] })])),
  }).filter(({ kind }) => kind === 'stale_reference')
  const all = 'a, now 192.168.1.11, b, now 192.168.1.12, c, which has none now'
  t.match(other?.message, `192.168.1.10 (${all})`, 'by what it reports, and everybody who had it')
})
