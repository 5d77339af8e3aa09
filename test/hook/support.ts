import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Service, startService } from '../support/service.js'

export const certificates = fileURLToPath(new URL('../support/tls/', import.meta.url))
const ca = readFileSync(`${certificates}authority.crt`)

// biome-ignore lint/suspicious/noExplicitAny: what Kubernetes sends has its own shape
export type Review = any

/** What the hook answered. */
export interface Answered {
  status: number
  warnings: string[]
  /** The JSON patch; empty where there is none. */
  patch: { op: string; path: string; value: string }[]
}

/** A service with the hook's listener. */
export function startWithHook(
  t: Pick<Test, 'teardown'>,
  env: Record<string, string> = {},
  databaseUrl?: string,
): Promise<Service> {
  return startService(t, {
    ...(databaseUrl !== undefined && { databaseUrl }),
    env: {
      EDGE_IPAM_WEBHOOK_PORT: '0',
      EDGE_IPAM_WEBHOOK_TLS_CERT_FILE: `${certificates}first.crt`,
      EDGE_IPAM_WEBHOOK_TLS_KEY_FILE: `${certificates}first.key`,
      EDGE_IPAM_POOL: '10.77.0.0/24',
      ...env,
    },
  })
}

/** Every AdmissionReview of a recording, in order. */
export function recording(name: 'registration' | 'rewritten'): Review[] {
  const text = readFileSync(new URL(`recordings/admission.${name}.jsonl`, import.meta.url), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).review)
}

/** Asks as the kube-apiserver does, and holds the answer against what that would take. */
export async function ask(t: Test, service: Service, review: Review, query = '?timeout=5s'): Promise<Answered> {
  const { status, body } = await post(`${service.ready.webhook}/hooks/kubernetes/nodes${query}`, JSON.stringify(review))
  const answer = JSON.parse(body)
  t.equal(answer.apiVersion, 'admission.k8s.io/v1')
  t.equal(answer.kind, 'AdmissionReview')
  t.equal(answer.response.uid, review?.request?.uid ?? '')
  t.equal(answer.response.allowed, true, 'never in the way')
  const { warnings = [], patch, patchType } = answer.response
  t.equal(patchType, patch === undefined ? undefined : 'JSONPatch')
  return { status, warnings, patch: patch === undefined ? [] : JSON.parse(Buffer.from(patch, 'base64').toString()) }
}

/** POST; with `client` it shows the certificate of that name. The server's has to be for `servername`, or the address. */
export function post(
  url: string,
  body: string,
  { client, servername, agent = false }: { client?: 'client'; servername?: string; agent?: Agent | false } = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        ...(client && {
          cert: readFileSync(`${certificates}${client}.crt`),
          key: readFileSync(`${certificates}${client}.key`),
        }),
        ...(servername && { servername }),
        method: 'POST',
        ca,
        agent,
        headers: { 'content-type': 'application/json', accept: 'application/json, */*' },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode!, body: text }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** POSTs all bodies, some at a time, on connections that are kept as the kube-apiserver keeps them. */
export async function postAll(url: string, bodies: readonly string[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  await Promise.all(
    bodies.map(async (body) => {
      const { status } = await post(url, body, { agent })
      if (status !== 200) throw new Error(`answered with ${status}`)
    }),
  )
  agent.destroy()
}

/** A review like a recorded one, of another node or with other addresses. */
export function like(
  review: Review,
  { name, addresses, ...request }: { name?: string; addresses?: string[]; dryRun?: boolean },
): Review {
  const copy = structuredClone(review)
  Object.assign(copy.request, request)
  if (name !== undefined) {
    copy.request.name = name
    copy.request.object.metadata.name = name
  }
  if (addresses !== undefined) {
    copy.request.object.status.addresses = [
      ...addresses.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: copy.request.object.metadata.name },
    ]
  }
  return copy
}
