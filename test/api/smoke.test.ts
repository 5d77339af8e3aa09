import t from 'tap'
import { startService } from '../support/service.js'

t.test('a node gets its address, keeps it, and gives it back', async (t) => {
  const service = await startService(t)
  const first = await service.call('POST', '/v1/allocations', { nodeName: 'edge-1', displayIp: '192.168.1.10' })
  t.equal(first.status, 201)
  t.equal(first.body.uniqueIp, '10.213.0.1')
  t.equal((await service.call('POST', '/v1/nodes/edge-1/registration')).status, 200)
  t.equal(await service.stop(), 0)
})
