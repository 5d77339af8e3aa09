import t from 'tap'
import { openapiDocument } from '../../src/cli/openapi.js'
import { startService } from '../support/service.js'
import { give, makePool } from './support.js'

const service = await startService(t)

t.test('/openapi.json is the document in openapi/, for everybody', async (t) => {
  const answer = await service.call('GET', '/openapi.json', undefined, { token: null })
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^application\/json/)
  t.same(answer.body, JSON.parse(await openapiDocument()))
})

t.test('/docs is a page that reads it, and loads nothing from elsewhere', async (t) => {
  const answer = await fetch(`${service.url}/docs/`)
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^text\/html/)
  const page = await answer.text()
  for (const [, source] of page.matchAll(/(?:src|href)="([^"]+)"/g)) {
    if (source!.startsWith('#')) continue
    const url = new URL(source!, answer.url)
    t.equal(url.origin, new URL(service.url).origin, `${source}`)
    t.equal((await fetch(url)).status, 200, `${source}`)
  }
})

t.test('what the service answers is what the document says', async (t) => {
  await makePool(service, 'documented', '10.97.0.0/24', { reservations: [{ start: '10.97.0.1', reason: 'x' }] })
  const { uniqueIp } = await give(service, 'documented', { pool: 'documented' })
  const { body: document } = await service.call('GET', '/openapi.json')
  const schemaOf = (path: string) => {
    const schema = document.paths[path].get.responses['200'].content['application/json'].schema
    return schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema
  }
  for (const [path, url] of [
    ['/v1/pools/{name}', '/v1/pools/documented'],
    ['/v1/allocations/{address}', `/v1/allocations/${uniqueIp}`],
    ['/v1/nodes/{name}', '/v1/nodes/documented'],
    ['/v1/nodes/{name}/unique-ip', '/v1/nodes/documented/unique-ip'],
    ['/northbound/v1/nodes/{name}', '/northbound/v1/nodes/documented'],
    ['/v1/nodes', '/v1/nodes'],
    ['/v1/audit', '/v1/audit'],
    ['/v1/findings', '/v1/findings'],
  ] as const) {
    const answer = await service.call('GET', url)
    t.same(Object.keys(answer.body).sort(), Object.keys(schemaOf(path).properties).sort(), path)
  }
})
