import { contest } from '../contest.js'
import { allocating } from '../contestants/allocating.js'
import { pgbench } from '../contestants/pgbench.js'
import { service } from '../contestants/service.js'

export const single = contest({
  name: 'single',
  contestants: {
    pgbench: pgbench(1),
    service: service(allocating, 1),
    'service+redis': service(allocating, 1, { redis: true }),
  },
  figures: [
    {
      name: 'single',
      title: 'one allocation at a time: its median time against that of one pgbench INSERT',
      ours: 'service',
      against: 'pgbench',
      metric: 'p50',
      goal: { atMost: 1.5 },
    },
    {
      name: 'single-redis',
      title: 'the same with the Redis lock',
      ours: 'service+redis',
      against: 'pgbench',
      metric: 'p50',
      goal: { atMost: 1.5 },
      long: 'as single',
    },
  ],
})
