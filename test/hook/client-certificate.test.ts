import { fileURLToPath } from 'node:url'
import t from 'tap'
import { post, startWithHook } from './support.js'

const authority = fileURLToPath(new URL('../support/tls/client-authority.crt', import.meta.url))

t.test('where an authority is set, only who has its certificate reaches the hook', async (t) => {
  const service = await startWithHook(t, { EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE: authority })
  const url = `${service.ready.webhook}/hooks/kubernetes/nodes`
  t.equal((await post(url, '{}', 'client')).status, 200)
  await t.rejects(post(url, '{}'), 'without one')
  await t.rejects(post(url, '{}', 'first'), "with another authority's")
  t.equal((await service.call('GET', '/livez')).status, 200, 'other listeners ask for none')
})
