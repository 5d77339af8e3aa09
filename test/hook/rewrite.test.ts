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

t.test('a node that is given its unique IP has joined, and what it reports itself is known', async (t) => {
  const service = await startWithHook(t, rewriting)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  const [edge] = edgeTries
  await ask(t, service, edge)
  const { body: node } = await service.call('GET', '/v1/nodes/edge1')
  t.match(node, { state: 'registered', nodeUid: edge.request.object.metadata.uid, displayIp: '192.168.1.10' })
  const audited = async () => (await service.call('GET', '/v1/audit?nodeName=edge1')).body.items.length
  const before = await audited()
  // Somebody labels the node, and its edge writes its status again.
  const labelled = like(edge, { addresses: [node.uniqueIp] })
  labelled.request.subResource = undefined
  labelled.request.oldObject.status.addresses = labelled.request.object.status.addresses
  for (const review of [labelled, edge, labelled, edge]) await ask(t, service, review)
  t.equal(await audited(), before, 'what comes and goes by our own doing is written down once')
})

t.test('a request that does not set the status is not patched', async (t) => {
  const service = await startWithHook(t, rewriting)
  await service.call('POST', '/v1/allocations', { nodeName: 'edge1' })
  const labelled = recording('registration')[1]
  t.equal(labelled.request.subResource, undefined)
  t.same((await ask(t, service, labelled)).patch, [])
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
