import { contest } from '../contest.js'
import { allocating } from '../contestants/allocating.js'
import { bare } from '../contestants/bare.js'
import { pgbench } from '../contestants/pgbench.js'
import { service } from '../contestants/service.js'

export const allocate64 = contest({
  name: 'allocate-64',
  contestants: {
    bare: bare('allocate', 64),
    service: service(allocating, 64),
    'service+redis': service(allocating, 64, { redis: true }),
    pgbench: pgbench(64),
  },
  figures: [
    {
      name: 'allocate-64',
      title: 'allocate new names, 64 connections, against a bare POST',
      ours: 'service',
      against: 'bare',
      goal: { atLeast: 0.8 },
    },
    {
      name: 'allocate-64-redis',
      title: 'the same with the Redis lock',
      ours: 'service+redis',
      against: 'bare',
      goal: { atLeast: 0.8 },
    },
    {
      name: 'allocate-64-p99',
      title: 'its p99 against that of the bare POST',
      ours: 'service',
      against: 'bare',
      metric: 'p99',
      goal: { atMost: 2 },
    },
    {
      name: 'redis-64',
      title: 'with Redis against without, 64 connections',
      ours: 'service+redis',
      against: 'service',
      goal: { atLeast: 0.9 },
    },
    {
      name: 'pgbench-64',
      title: "allocate, 64 connections, against pgbench's single-row INSERT, 64 clients",
      ours: 'service',
      against: 'pgbench',
      goal: { atLeast: 2 },
    },
  ],
})

export const allocate256 = contest({
  name: 'allocate-256',
  long: 'as with 64 connections',
  contestants: {
    bare: bare('allocate', 256),
    service: service(allocating, 256),
    'service+redis': service(allocating, 256, { redis: true }),
  },
  figures: [
    {
      name: 'allocate-256',
      title: 'allocate new names, 256 connections, against a bare POST',
      ours: 'service',
      against: 'bare',
      goal: { atLeast: 1 },
    },
    {
      name: 'allocate-256-redis',
      title: 'the same with the Redis lock',
      ours: 'service+redis',
      against: 'bare',
      goal: { atLeast: 1 },
    },
    {
      name: 'redis-256',
      title: 'with Redis against without, 256 connections',
      ours: 'service+redis',
      against: 'service',
      goal: { atLeast: 0.9 },
    },
  ],
})
