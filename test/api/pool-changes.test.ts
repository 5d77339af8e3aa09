import t from 'tap'
import { startService } from '../support/service.js'

t.test('changing pools, and the networks that they keep clear of', async (t) => {
  const service = await startService(t, { env: { EDGE_IPAM_POOL: '10.0.0.0/29' } })
  const patch = (body: object, headers = {}) => service.call('PATCH', '/v1/pools/default', body, { headers })
  const allocate = (body: object) => service.call('POST', '/v1/allocations', body)

  await t.test('a pool that drains gives nothing new, and those who hold keep all', async (t) => {
    t.equal((await allocate({ nodeName: 'a' })).status, 201)
    t.equal((await patch({ state: 'draining' })).body.state, 'draining')
    t.equal((await allocate({ nodeName: 'b' })).body.code, 'pool_not_found')
    t.equal((await allocate({ nodeName: 'b', pool: 'default' })).body.code, 'pool_not_active')
    t.equal((await allocate({ nodeName: 'b', address: '10.0.0.3' })).body.code, 'pool_not_active')
    t.equal((await allocate({ nodeName: 'a' })).status, 200)
    t.equal((await service.call('POST', '/v1/nodes/a/registration')).status, 200)
  })

  await t.test('a disabled pool registers nobody new', async (t) => {
    await patch({ state: 'active' })
    await allocate({ nodeName: 'late' })
    await patch({ state: 'disabled' })
    t.equal((await service.call('POST', '/v1/nodes/late/registration')).body.code, 'pool_not_active')
    t.equal((await service.call('POST', '/v1/nodes/a/registration')).status, 200, 'who is registered stays')
    await patch({ state: 'active' })
    t.equal((await service.call('POST', '/v1/nodes/late/registration')).status, 200)
  })

  await t.test('a field that is absent stays, a null clears, and what changes nothing leaves no trace', async (t) => {
    const before = (await patch({ description: 'the first', priority: 7, nodeSelector: { zone: 'x' } })).body
    t.match(before, { description: 'the first', priority: 7, nodeSelector: { zone: 'x' } })
    const rows = async () => (await service.call('GET', '/v1/audit?action=pool.updated')).body.items.length
    const count = await rows()
    t.equal((await patch({ priority: 7 })).body.updatedAt, before.updatedAt)
    t.equal(await rows(), count)
    t.match((await patch({ description: null, nodeSelector: null })).body, {
      description: null,
      nodeSelector: null,
      priority: 7,
    })
    t.equal(await rows(), count + 1)
  })

  await t.test('If-Match: the ETag grows with each change', async (t) => {
    const etag = (await service.call('GET', '/v1/pools/default')).headers.get('etag')!
    const changed = await patch({ priority: 8 }, { 'if-match': etag })
    t.equal(changed.status, 200)
    t.equal(changed.headers.get('etag'), (await service.call('GET', '/v1/pools/default')).headers.get('etag'))
    t.equal((await patch({ priority: 9 }, { 'if-match': etag })).status, 412)
    await allocate({ nodeName: 'c' })
    t.equal(changed.headers.get('etag'), (await service.call('GET', '/v1/pools/default')).headers.get('etag'))
  })

  await t.test('a CIDR only grows around itself, and what it gains is handed out', async (t) => {
    await service.call('POST', '/v1/pools/default/reservations', { start: '10.0.0.6', end: '10.0.0.7', reason: 'edge' })
    for (const cidr of ['10.0.0.0/30', '10.9.0.0/24']) {
      t.match(await patch({ cidr }), { status: 422, body: { code: 'cidr_not_usable' } }, cidr)
    }
    const grown = await patch({ cidr: '10.0.0.0/28' })
    t.match(grown.body, { cidr: '10.0.0.0/28', utilization: { capacity: 14, allocated: 3, reserved: 2, free: 9 } })
    const given = new Set<string>()
    for (let i = 0; i < 9; i++) given.add((await allocate({ nodeName: `new-${i}` })).body.uniqueIp)
    t.equal(given.size, 9)
    t.notOk(given.has('10.0.0.6') || given.has('10.0.0.7') || given.has('10.0.0.0') || given.has('10.0.0.15'))
    t.equal((await allocate({ nodeName: 'one-more' })).body.code, 'pool_exhausted')
  })

  await t.test("a pool keeps clear of the cluster's networks, and they of it", async (t) => {
    const networks = {
      items: [
        { kind: 'pod', cidr: '10.244.0.0/16' },
        { kind: 'service', cidr: '10.96.0.0/12', description: 'kubeadm' },
      ],
    }
    t.equal((await service.call('PUT', '/v1/networks', networks)).status, 200)
    t.equal((await service.call('GET', '/v1/networks')).body.items.length, 2)
    const refused = await service.call('POST', '/v1/pools', { name: 'p', cidr: '10.244.7.0/24' })
    t.match(refused, { status: 409, body: { code: 'pool_overlap', detail: /10\.244\.0\.0\/16.*pod/ } })
    t.match(await service.call('PUT', '/v1/networks', { items: [{ kind: 'node', cidr: '10.0.0.0/8' }] }), {
      status: 409,
      body: { code: 'pool_overlap', detail: /default/ },
    })
    t.equal((await service.call('GET', '/v1/networks')).body.items.length, 2, 'nothing changed')
    t.equal((await service.call('PUT', '/v1/networks?dryRun=true', { items: [] })).status, 200)
    t.equal((await service.call('GET', '/v1/networks')).body.items.length, 2, 'nothing kept')
    t.equal((await patch({ cidr: '10.0.0.0/9' })).status, 409, 'nor by growing')
    t.equal((await service.call('PUT', '/v1/networks', { items: [] })).status, 200)
    t.equal((await service.call('POST', '/v1/pools', { name: 'p', cidr: '10.244.7.0/24' })).status, 201)
  })

  await t.test('priorities and selectors choose the pool; the next one serves when one is full', async (t) => {
    await service.call('POST', '/v1/pools', {
      name: 'west',
      cidr: '10.20.0.0/30',
      nodeSelector: { zone: 'west' },
      priority: 1,
    })
    await service.call('POST', '/v1/pools', { name: 'rest', cidr: '10.30.0.0/24', priority: 200 })
    const pools = []
    for (let i = 0; i < 3; i++) pools.push((await allocate({ nodeName: `w-${i}`, labels: { zone: 'west' } })).body.pool)
    t.strictSame(pools, ['west', 'west', 'p'])
    t.equal((await allocate({ nodeName: 'e-1', labels: { zone: 'east' } })).body.pool, 'p')
    t.equal((await allocate({ nodeName: 'asked', pool: 'rest' })).body.pool, 'rest')
    t.match((await allocate({ nodeName: 'w-9', pool: 'west' })).body, { code: 'pool_exhausted' })
  })
})
