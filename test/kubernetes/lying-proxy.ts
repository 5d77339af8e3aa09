import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { Lab } from './lab.js'

/** A kube-apiserver that tells wrong things: between a service and the true one. */
export interface LyingProxy {
  /** A kubeconfig of the administrator, by way of this. */
  kubeconfig: string
  /** Of lists: which Nodes are left out; the others are true. */
  hide: (name: string) => boolean
  /** Before it answers a list (ms). */
  delay: number
  /** Lists of Nodes break off in the middle: a page tells of another one, which cannot be had. */
  breaksOff: boolean
  /** It answers for what it has before it: 404 of its own for a single Node. */
  knowsNobody: boolean
  /** What is written is not answered. */
  hangs: boolean
  /** A watch is answered with 410 Gone, and those that stand are cut. */
  expire(): void
  /** Watches that stand end, as they do after some minutes. @returns how many there were */
  endWatches(): number
  /** How many lists of Nodes were answered. */
  lists: number
}

/** Starts one; it ends with the test. */
export async function startLyingProxy(t: Pick<Test, 'teardown'>, lab: Lab): Promise<LyingProxy> {
  const serving = await lab.certificate('proxy', '/CN=proxy', ['127.0.0.1'])
  const ca = await readFile(lab.authority)
  let expired = false
  const watches = new Map<() => void, () => void>()
  const proxy: LyingProxy = {
    kubeconfig: `${lab.folder}/proxied.kubeconfig`,
    hide: () => false,
    delay: 0,
    breaksOff: false,
    knowsNobody: false,
    hangs: false,
    expire: () => {
      expired = true
      for (const cut of watches.keys()) cut()
    },
    endWatches: () => {
      const ending = [...watches.values()]
      for (const end of ending) end()
      return ending.length
    },
    lists: 0,
  }
  const server = createServer(
    { cert: await readFile(serving.cert), key: await readFile(serving.key) },
    (incoming, answer) => {
      const url = new URL(incoming.url!, lab.url)
      const ofNodes = url.pathname === '/api/v1/nodes' && incoming.method === 'GET'
      const isWatch = url.searchParams.get('watch') === 'true'
      if (ofNodes && isWatch && expired) {
        expired = false
        answer.writeHead(410, { 'content-type': 'application/json' }).end('{"kind":"Status","code":410}')
        return
      }
      if (proxy.hangs && incoming.method !== 'GET') return
      if (proxy.knowsNobody && /^\/api\/v1\/nodes\/./.test(url.pathname)) {
        answer.writeHead(404, { 'content-type': 'text/plain' }).end('default backend - 404')
        return
      }
      if (ofNodes && url.searchParams.get('continue') === 'broken') {
        proxy.lists++
        answer.writeHead(500, { 'content-type': 'application/json' }).end('{"kind":"Status","code":500}')
        return
      }
      const sent = request(url, {
        method: incoming.method!,
        headers: { ...incoming.headers, 'accept-encoding': 'identity' },
        ca,
        agent: false,
      })
      sent.on('error', () => answer.destroy())
      sent.on('response', async (response) => {
        if (!ofNodes || isWatch) {
          answer.writeHead(response.statusCode!, response.headers)
          // At once, as the kube-apiserver does, and not with the first event.
          answer.flushHeaders()
          response.pipe(answer)
          response.on('error', () => answer.destroy())
          const cut = () => answer.destroy()
          if (isWatch) watches.set(cut, () => answer.end())
          answer.on('close', () => {
            watches.delete(cut)
            sent.destroy()
          })
          return
        }
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk)
        const list = JSON.parse(Buffer.concat(chunks).toString())
        list.items = (list.items ?? []).filter(
          (node: { metadata: { name: string } }) => !proxy.hide(node.metadata.name),
        )
        if (proxy.breaksOff) {
          list.items.length = Math.ceil(list.items.length / 2)
          list.metadata.continue = 'broken'
        }
        await new Promise((resolve) => setTimeout(resolve, proxy.delay))
        proxy.lists++
        answer.writeHead(response.statusCode!, { 'content-type': 'application/json' }).end(JSON.stringify(list))
      })
      incoming.pipe(sent)
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const config = JSON.parse(await readFile(lab.kubeconfig, 'utf8'))
  config.clusters[0].cluster.server = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  await writeFile(proxy.kubeconfig, JSON.stringify(config))
  return proxy
}
