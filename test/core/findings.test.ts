import t from 'tap'
import { type Allocated, type Cluster, type ClusterNode, findingsOf, keyOf } from '../../src/core/findings.js'

const DAY = 86_400_000
const patience = 7 * DAY

function edge(name: string, internalIps: string[], podCidrs: string[] = []): ClusterNode {
  return { name, isEdge: true, internalIps, podCidrs }
}

function server(name: string, internalIps: string[], podCidrs: string[] = []): ClusterNode {
  return { ...edge(name, internalIps, podCidrs), isEdge: false }
}

function holds(nodeName: string, uniqueIp: string, state: 'allocated' | 'registered' = 'registered', age = 0) {
  return { nodeName, uniqueIp, state, age }
}

function keys(cluster: Partial<Cluster>, allocated: Partial<Allocated>): string[] {
  return findingsOf(
    { nodes: [], serviceCidrs: [], references: [], ...cluster },
    { pools: [{ name: 'edge', cidr: '10.77.0.0/24' }], held: [], networks: [], ...allocated },
    patience,
  ).map(keyOf)
}

const service = { kind: 'Service' as const, namespace: 'shop', name: 'front' }
const named = (address: string, nodeName?: string) => [{ subject: service, addresses: [{ address, nodeName }] }]

const cases: [string, Partial<Cluster>, Partial<Allocated>, string[]][] = [
  ['all is well', { nodes: [edge('a', ['10.77.0.1'])] }, { held: [holds('a', '10.77.0.1')] }, []],
  [
    'one that reports another address',
    { nodes: [edge('a', ['192.168.1.10'])] },
    { held: [holds('a', '10.77.0.1')] },
    ['address_mismatch/Node//a'],
  ],
  ['one that reports nothing yet', { nodes: [edge('a', [])] }, { held: [holds('a', '10.77.0.1')] }, []],
  [
    'of two families, one is its own',
    { nodes: [edge('a', ['fd00::10', '10.77.0.1'])] },
    { held: [holds('a', '10.77.0.1')] },
    [],
  ],
  ['an edge node that nobody announced', { nodes: [edge('a', ['192.168.1.10'])] }, {}, ['unknown_node/Node//a']],
  ['a server that nobody announced', { nodes: [server('a', ['192.168.1.10'])] }, {}, []],
  ['one that was in the cluster', {}, { held: [holds('a', '10.77.0.1')] }, ['node_gone/Node//a']],
  ['one that has time to join', {}, { held: [holds('a', '10.77.0.1', 'allocated', patience - 1)] }, []],
  ['one that never joined', {}, { held: [holds('a', '10.77.0.1', 'allocated', patience)] }, ['never_joined/Node//a']],
  [
    'two with one address',
    { nodes: [server('a', ['192.168.1.10']), server('b', ['192.168.1.10']), server('c', ['192.168.1.11'])] },
    {},
    ['duplicate_internal_ip/Node//a', 'duplicate_internal_ip/Node//b'],
  ],
  ...['172.18.0.1', '169.254.3.4', '127.0.0.1', 'fe80::1', '10.244.3.1', '172.30.9.9'].map(
    (address): (typeof cases)[number] => [
      `an address of a bridge, or of none: ${address}`,
      { nodes: [edge('a', [address]), server('b', ['10.1.0.2'], ['10.244.3.0/24'])] },
      { held: [holds('a', '10.77.0.1')], networks: [{ kind: 'docker', cidr: '172.30.0.0/16' }] },
      ['address_mismatch/Node//a', 'suspicious_address/Node//a'],
    ],
  ),
  [
    "another's address: a copied disk",
    { nodes: [edge('a', ['10.77.0.1']), edge('b', ['10.77.0.1'])] },
    { held: [holds('a', '10.77.0.1'), holds('b', '10.77.0.2')] },
    [
      'address_mismatch/Node//b',
      'duplicate_internal_ip/Node//a',
      'duplicate_internal_ip/Node//b',
      'suspicious_address/Node//b',
    ],
  ],
  [
    'a pool that overlaps the pods of a node, the services, or a server',
    { nodes: [server('a', ['10.77.0.9'], ['10.77.0.128/25'])], serviceCidrs: ['10.0.0.0/8'] },
    {},
    ['network_overlap/Pool//edge'],
  ],
  [
    "a server's address out of the pool is its own, where it holds it",
    { nodes: [server('a', ['10.77.0.9'])] },
    { held: [holds('a', '10.77.0.9')] },
    [],
  ],
  [
    'a Service names what somebody holds',
    { references: named('10.77.0.1') },
    { held: [holds('a', '10.77.0.1', 'allocated')] },
    [],
  ],
  ['a Service names what nobody holds', { references: named('10.77.0.1') }, {}, ['stale_reference/Service/shop/front']],
  ['a Service names an address from elsewhere', { references: named('203.0.113.7') }, {}, []],
  [
    'an endpoint names what its node had',
    { nodes: [edge('a', ['10.77.0.2'])], references: named('192.168.1.10', 'a') },
    { held: [holds('a', '10.77.0.2')] },
    ['stale_reference/Service/shop/front'],
  ],
]

for (const [name, cluster, allocated, expected] of cases) {
  t.test(name, async (t) => t.same(keys(cluster, allocated).sort(), [...expected].sort()))
}

t.test('a message names a few, and counts the others', async (t) => {
  const nodes = Array.from({ length: 9 }, (_, i) => edge(`n${i}`, ['192.168.1.10']))
  const [first] = findingsOf(
    { nodes, serviceCidrs: [], references: [] },
    { pools: [], held: nodes.map(({ name }, i) => holds(name, `10.77.0.${i + 1}`)), networks: [] },
    patience,
  ).filter(({ kind }) => kind === 'duplicate_internal_ip')
  t.match(first?.message, /n1, n2, n3, n4, n5 and 3 more/)
})
