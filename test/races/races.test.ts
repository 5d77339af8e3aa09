import t from 'tap'
import { mix } from './mix.js'
import { needsRealRedis, startReplicas } from './replicas.js'

t.test('three replicas with one Redis, 64 connections', { timeout: 280_000, skip: needsRealRedis }, async (t) => {
  const replicas = await startReplicas(t)
  await mix(t, replicas)
  t.equal(replicas.load.repeated, 0, 'nobody had to ask twice')
})

t.test('three replicas without Redis, 64 connections', { timeout: 280_000 }, async (t) => {
  const replicas = await startReplicas(t, { redis: false })
  await mix(t, replicas)
  t.equal(replicas.load.repeated, 0, 'nobody had to ask twice')
})
