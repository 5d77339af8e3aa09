import t from 'tap'
import { startService } from '../support/service.js'
import { ask, like, recording, startWithHook } from './support.js'

const rewriting = { EDGE_IPAM_HOOK: 'rewrite', EDGE_IPAM_CLOUDCORE: 'patched' }
const edgeTries = recording('rewritten')

t.test('each time the edge sets its own address back, it is made the unique one again', async (t) => {
  const service = await startWithHook(t, rewriting)
  const unique: Record<string, string> = {}
  for (const name of ['edge1', 'edge2']) {
    unique[name] = (await service.call('POST', '/v1/allocations', { nodeName: name })).body.uniqueIp
  }
  t.same(unique, { edge1: '10.77.0.1', edge2: '10.77.0.2' }, 'as in the recording')
  for (const review of edgeTries) {
    const { name, object } = review.request
    const place = object.status.addresses.findIndex(({ type }: { type: string }) => type === 'InternalIP')
    const { patch } = await ask(t, service, review)
    const wanted = { op: 'replace', path: `/status/addresses/${place}/address`, value: unique[name] }
    t.same(patch, object.status.addresses[place].address === unique[name] ? [] : [wanted])
  }
})

t.test('of a node with two families only the InternalIP of the same kind is another one', async (t) => {
  const service = await startWithHook(t, rewriting)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  const { patch } = await ask(
    t,
    service,
    like(edgeTries[0], { name: 'edge1', addresses: ['fd00::10', '192.168.1.10'] }),
  )
  t.same(patch, [{ op: 'replace', path: '/status/addresses/1/address', value: '10.77.0.1' }])
})

t.test('to rewrite is refused unless cloudcore finds its sessions by the unique IP', async (t) => {
  await t.rejects(startService(t, { env: { EDGE_IPAM_HOOK: 'rewrite' } }), /EDGE_IPAM_CLOUDCORE=patched/)
})
