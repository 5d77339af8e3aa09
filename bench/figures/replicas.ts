import { contest } from '../contest.js'
import { allocating } from '../contestants/allocating.js'
import { service } from '../contestants/service.js'

// The connections are 64 in all, an equal share for each replica.
export const replicas = contest({
  name: 'replicas',
  contestants: {
    one: service(allocating, 64, { redis: true }),
    two: service(allocating, 64, { redis: true, replicas: 2 }),
    four: service(allocating, 64, { redis: true, replicas: 4 }),
  },
  figures: [
    {
      name: 'replicas-2',
      title: '2 replicas on one PostgreSQL and Redis against 1, 64 connections in all',
      ours: 'two',
      against: 'one',
      goal: { atLeast: 0.9 },
    },
    {
      name: 'replicas-4',
      title: '4 replicas on one PostgreSQL and Redis against 1, 64 connections in all',
      ours: 'four',
      against: 'one',
      goal: { atLeast: 0.9 },
      long: 'as replicas-2',
    },
  ],
})
