import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Connection } from '../../src/cluster/connection.js'
import { nodeReport } from '../../src/cluster/node-reports.js'
import { advanceReaddress } from '../../src/domain/readdress-steps.js'
import { openDatabase } from '../../src/store/database.js'
import { insertRun } from '../../src/store/readdress.js'
import { give } from '../api/support.js'
import { startService } from '../support/service.js'

t.test('whoever has to end while the kube-apiserver hangs asks it no more, and waits for no answer', async (t) => {
  const sockets = new Set<Socket>()
  const hangs = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  hangs.listen(0, '127.0.0.1')
  await once(hangs, 'listening')
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-hangs-'))
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    hangs.close()
    await rm(folder, { recursive: true, force: true })
  })
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'x', cluster: { server: `https://127.0.0.1:${(hangs.address() as AddressInfo).port}` } }],
      users: [{ name: 'x', user: { token: 'x' } }],
      contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
      'current-context': 'x',
    }),
  )
  const service = await startService(t)
  const db = openDatabase({ url: service.databaseUrl, connections: 5, onError: () => {} })
  t.teardown(() => db.destroy())
  const nodes = []
  for (let index = 0; index < 50; index++) {
    const nodeName = `edge-${index}`
    nodes.push({ nodeName, uniqueIp: (await give(service, nodeName)).uniqueIp, reportedIp: '192.168.1.10' })
  }
  const times = { atOnce: 50, stopAfterFailures: 1, timeoutSeconds: 120, settleSeconds: 12 }
  await insertRun(db, { id: '5f0c1a9e3b7d', actor: 'admin:x', requestId: 'x', ...times }, nodes)

  const over = new AbortController()
  const connection = await Connection.open({ kubeconfig }, t.error)
  let isPatient = true
  void nodeReport(connection, 'edge-0').catch(() => {
    isPatient = false
  })
  while (sockets.size < 1) await once(hangs, 'connection')
  const round = advanceReaddress(db, connection, over.signal)
  while (sockets.size < 21) await once(hangs, 'connection')
  over.abort()
  t.same(await round, [])
  t.ok(isPatient, 'before a call that began earlier has had its time')
  t.equal(sockets.size, 21, 'the rest of the nodes is not asked about')
  const troubles = await db.selectFrom('readdress_nodes').select('message').where('message', 'is not', null).execute()
  t.same(troubles, [], 'and that it broke off is no trouble of theirs')
})
