import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import { type AppOptions, buildApp } from '../app.js'
import type { Services } from '../http/services.js'

/** The OpenAPI document, as the routes' schemas make it: no service has to run for it. */
export async function openapiDocument(): Promise<string> {
  const app = await buildApp({
    services: {} as Services,
    isReady: async () => false,
    metrics: { registry: new Registry(), request: () => {}, review: () => {} },
    hook: {} as AppOptions['hook'],
    reclaim: {} as AppOptions['reclaim'],
    hostsSuffix: '.',
  })
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2)
  await app.close()
  return `${document}\n`
}

/** Writes openapi/openapi.json. */
export async function main(): Promise<number> {
  const file = new URL('../../openapi/openapi.json', import.meta.url)
  await writeFile(file, await openapiDocument())
  process.stdout.write(`${fileURLToPath(file)}\n`)
  return 0
}
