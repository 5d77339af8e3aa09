import t from 'tap'
import { openapiDocument } from '../../src/cli/openapi.js'
import { startService } from '../support/service.js'
import { readText, tableRows } from './markdown.js'

const text = readText('SECURITY.md')
const roles = ['admin', 'join', 'cloudcore', 'northbound', 'auditor']
const routeOf = /(?:GET|POST|PUT|PATCH|DELETE) \/[\w/{}.-]+/g

interface Operation {
  description?: string
  security?: unknown[]
}

/** Every route with the roles that it takes, as the API description has it from the routes; the open ones with none. */
const routes = new Map<string, string[]>()
for (const [path, methods] of Object.entries<Record<string, Operation>>(JSON.parse(await openapiDocument()).paths)) {
  for (const [method, { description = '', security }] of Object.entries(methods)) {
    const [, named = ''] = /Roles: ([\w, ]+)\./.exec(description) ?? []
    routes.set(`${method.toUpperCase()} ${path}`, security?.length === 0 ? [] : named.split(', ').sort())
  }
}

t.test('SECURITY.md gives every route that takes a token the roles that it has', async (t) => {
  const told = new Map<string, string[]>()
  for (const [cell, ...marks] of tableRows(text, 'routes')) {
    for (const [route] of cell!.matchAll(routeOf)) {
      t.notOk(told.has(route), `${route}: once`)
      told.set(route, roles.filter((_role, index) => marks[index] !== '').sort())
    }
  }
  const taking = new Map([...routes].filter(([, allowed]) => allowed.length > 0))
  t.ok(taking.size > 30)
  t.strictSame(new Map([...told].sort()), new Map([...taking].sort()))
})

t.test('what it says is open needs no token, and nothing else is open', async (t) => {
  const [, paragraph = ''] = /## What is open\n\n([\s\S]*?)\n\n/.exec(text) ?? []
  const open = [...paragraph.matchAll(/`(\/[\w.]*)`/g)].map(([, path]) => path!)
  const service = await startService(t)
  for (const path of new Set(open)) {
    const { status } = await service.call('GET', path, undefined, { token: null })
    t.ok(status === 200 || status === 302, `${path}: ${status}`)
  }
  for (const [route, allowed] of routes) {
    if (allowed.length === 0) t.ok(open.includes(route.replace('GET ', '')), `${route} is said to be open`)
  }
})
