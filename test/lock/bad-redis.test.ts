import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { startRedis, type TestRedis } from '../support/redis.js'
import { gate, type LoggedLock, lockFor, startHolder, until } from './support.js'

let keys = 0
/** Runs work on a key that nobody has used, so that Redis has to be asked if it is asked at all. */
async function runOnNewKey(t: Test, lock: LoggedLock): Promise<void> {
  t.equal(await lock.run([`new-${keys++}`], async () => 'done'), 'done')
}

/** The lock has noticed that Redis is of no use, said so once, and runs go on without it. */
async function outage(t: Test, lock: LoggedLock, reason: RegExp): Promise<void> {
  await until('a warning', async () => {
    await lock.run([`new-${keys++}`], async () => {})
    return lock.warnings.length > 0
  })
  t.match(lock.warnings[0], reason)
  const { skipped, acquired } = lock.stats
  for (let i = 0; i < 100; i++) await lock.run([`new-${keys++}`], async () => {})
  t.equal(lock.stats.skipped, skipped + 100)
  t.equal(lock.stats.acquired, acquired)
}

/** The lock uses Redis again and has said so; of the outage there is one line and of its end another. */
async function recovery(t: Test, lock: LoggedLock): Promise<void> {
  await until('Redis is used again', () => lock.infos.length > 0)
  const { acquired } = lock.stats
  await runOnNewKey(t, lock)
  t.equal(lock.stats.acquired, acquired + 1)
  t.equal(lock.warnings.length, 1, 'one line for the outage')
  t.equal(lock.infos.length, 1, 'one line for its end')
}

/** It has knocked again since, in vain, and kept that to itself. */
async function retried(t: Test, redis: TestRedis, lock: LoggedLock): Promise<void> {
  const greetings = async () => {
    const stats = String(await redis.cli('INFO', 'commandstats'))
    // Those of the lock only: what asks here says hello once itself.
    return Number(/cmdstat_hello:calls=(\d+)/.exec(stats)?.[1] ?? 0) - ++asked
  }
  let asked = 0
  const before = await greetings()
  await until('it has tried twice', async () => (await greetings()) >= before + 2)
  await lock.run([`new-${keys++}`], async () => {})
  t.equal(lock.warnings.length, 1)
  t.equal(lock.infos.length, 0)
}

/** Listens on the loopback until the end of the test, and remembers its connections. */
async function listen(t: Test, server: Server): Promise<{ port: number; connections: Set<Socket> }> {
  const connections = new Set<Socket>()
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of connections) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port, connections }
}

t.test('dead at the start: runs go on, and the lock is there once Redis is', async (t) => {
  const redis = await startRedis(t)
  await redis.stop()
  const lock = lockFor(t, { redisUrl: redis.url })
  await runOnNewKey(t, lock)
  await outage(t, lock, /ECONNREFUSED/)
  await redis.start()
  await recovery(t, lock)
})

t.test('a host name with several addresses, all dead, has a reason too', async (t) => {
  const redis = await startRedis(t)
  await redis.stop()
  const both = [4, 6].map((family) => ({ family, address: family === 4 ? '127.0.0.1' : '::1' }))
  t.intercept(dns, 'lookup', {
    value: (_name: string, _options: object, done: (error: null, addresses: object[]) => void) => done(null, both),
  })
  const lock = lockFor(t, { redisUrl: `redis://both.invalid:${redis.port}` })
  await outage(t, lock, /not usable \(E[A-Z]+\)/)
})

t.test('killed under a run, and back: the run ends undisturbed', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url, leaseMs: 1_500 })
  const end = gate()
  const running = lock.run(['pool'], () => end.opened.then(() => 'done'))
  await until('the lease is taken', async () => (await redis.cli('EXISTS', 'edge-ipam:lock:pool')) === 1)
  await redis.kill9()
  await outage(t, lock, /connection was closed|ECONNRESET/)
  await redis.start()
  await recovery(t, lock)
  end.open()
  t.equal(await running, 'done')
})

t.test('a wrong password is said, but not which', async (t) => {
  const redis = await startRedis(t, { args: ['--requirepass', 'right-secret'] })
  const lock = lockFor(t, { redisUrl: redis.url.replace('right-secret', 'wrong-secret') })
  await outage(t, lock, /WRONGPASS/)
  await retried(t, redis, lock)
  t.notMatch(lock.warnings[0], /secret/)
  await redis.cli('CONFIG', 'SET', 'requirepass', 'wrong-secret')
  await recovery(t, lock)
})

t.test('a server that repeats the password in its error does not bring it into the log', async (t) => {
  const server = createServer((socket) => {
    socket.on('data', () => socket.write("-ERR bad: '3' 'AUTH' 'default' 'my-secret'\r\n".repeat(9)))
  })
  const { port } = await listen(t, server)
  const lock = lockFor(t, { redisUrl: `redis://:my-secret@127.0.0.1:${port}` })
  await outage(t, lock, /ERR bad/)
  t.notMatch(lock.warnings[0], /my-secret/)
})

t.test('full', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url })
  await runOnNewKey(t, lock)
  await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
  await outage(t, lock, /OOM/)
  await retried(t, redis, lock)
  await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
  await recovery(t, lock)
})

t.test('a replica, which cannot be written', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url })
  await runOnNewKey(t, lock)
  await redis.cli('REPLICAOF', '127.0.0.1', '1')
  await outage(t, lock, /READONLY/)
  await retried(t, redis, lock)
  await redis.cli('REPLICAOF', 'NO', 'ONE')
  await recovery(t, lock)
})

t.test('flushed: the loss is noticed, and the lease taken again', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url, leaseMs: 600 })
  const end = gate()
  const running = lock.run(['pool'], () => end.opened)
  await until('the lease is taken', async () => (await redis.cli('EXISTS', 'edge-ipam:lock:pool')) === 1)
  await redis.cli('FLUSHALL')
  await redis.cli('SCRIPT', 'FLUSH')
  await until('the loss is noticed', () => lock.stats.lost === 1)
  end.open()
  await running
  await lock.run(['pool'], async () => {})
  t.equal(await redis.cli('EXISTS', 'edge-ipam:lock:pool'), 1)
  t.equal(lock.stats.skipped, 0)
  t.same(lock.warnings, [])
})

t.test('paused: a lease that is held serves until it is over, the rest goes without', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url, waitMs: 200 })
  await lock.run(['held'], async () => {})
  redis.pause()
  await outage(t, lock, /no answer|timed out/)
  const { skipped } = lock.stats
  await lock.run(['held'], async () => {})
  t.equal(lock.stats.skipped, skipped)
  redis.resume()
  await recovery(t, lock)
})

t.test('close ends although Redis is paused', async (t) => {
  const redis = await startRedis(t)
  const lock = lockFor(t, { redisUrl: redis.url })
  await lock.run(['held'], async () => {})
  redis.pause()
  await lock.close()
  t.same(lock.warnings, [])
})

t.test('a port that accepts and never answers', async (t) => {
  const { port, connections } = await listen(t, createServer())
  const lock = lockFor(t, { redisUrl: `redis://127.0.0.1:${port}`, waitMs: 50 })
  await runOnNewKey(t, lock)
  t.equal(lock.stats.skipped, 1, 'the first run waits for the first connection only so long')
  await outage(t, lock, /timed out/)
  await until('it has tried again', () => connections.size >= 2)
  t.equal(lock.warnings.length, 1)
})

t.test('connections that are cut again and again', async (t) => {
  const redis = await startRedis(t)
  const { port, connections } = await listen(
    t,
    createServer((socket) => {
      const upstream = connect(redis.port, '127.0.0.1')
      upstream.on('error', () => {})
      socket.pipe(upstream).pipe(socket)
    }),
  )
  const lock = lockFor(t, { redisUrl: `redis://127.0.0.1:${port}` })
  for (let cut = 1; cut <= 3; cut++) {
    await lock.run([`cut-${cut}`], async () => {})
    for (const socket of connections) socket.destroy()
    await until('the cut is noticed', () => lock.warnings.length === cut)
    await until('it is back', () => lock.infos.length === cut)
  }
  await runOnNewKey(t, lock)
  t.equal(lock.stats.skipped, 0)
})

t.test('over TLS', async (t) => {
  const redis = await startRedis(t)
  const server = createTlsServer({ key, cert: certificate }, (socket) => {
    socket.on('error', () => {})
    const upstream = connect(redis.port, '127.0.0.1')
    upstream.on('error', () => {})
    socket.pipe(upstream).pipe(socket)
  })
  const { port } = await listen(t, server)
  const redisUrl = `rediss://127.0.0.1:${port}`

  t.test('a certificate that is trusted', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'edge-ipam-tls-'))
    t.teardown(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'ca.pem')
    writeFileSync(file, certificate)
    const holder = await startHolder(t, { redisUrl, leaseMs: 10_000, waitMs: 5_000 }, { NODE_EXTRA_CA_CERTS: file })
    await holder.hold('secure')
    t.equal(await redis.cli('EXISTS', 'edge-ipam:lock:secure'), 1)
    await holder.letGo()
  })

  t.test('a certificate that is not', async (t) => {
    const lock = lockFor(t, { redisUrl })
    await outage(t, lock, /certificate/)
  })
})

/** Made for this test alone: self-signed for localhost, nothing trusts it. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUVapLLuHMvncrmwVWjl/tgucFGoowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA5NTQxOFoYDzIxMjYxMDI4
MDk1NDE4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASrFx27qJ+6HH/0O/v2c33u3FxGLdc/j4wJInRkjFVpXK9jGuYz4StA
/0DZEfrN6q2EcCBhf6rYRSQjZU9UjoDUo28wbTAdBgNVHQ4EFgQUBslTYGFHanO8
kl9Kstm/Tzf2L/wwHwYDVR0jBBgwFoAUBslTYGFHanO8kl9Kstm/Tzf2L/wwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgEAq1lv2w9wtaYVwkLaEiANsgQsdr2bCBSwVPcPfNqtkCIGwX
w0Act1pFbba9z4ItrrgnOTkxniM2fvAvAm+Ags9H
-----END CERTIFICATE-----`
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg792iZRFxxuWOLdz9
r7VDNyqW+SUcUyeYKmnUbyktkjGhRANCAASrFx27qJ+6HH/0O/v2c33u3FxGLdc/
j4wJInRkjFVpXK9jGuYz4StA/0DZEfrN6q2EcCBhf6rYRSQjZU9UjoDU
-----END PRIVATE KEY-----`
