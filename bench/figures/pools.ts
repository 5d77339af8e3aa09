import { contest } from '../contest.js'
import { allocatingIn } from '../contestants/allocating.js'
import { refilled } from '../contestants/refilled.js'
import { service } from '../contestants/service.js'
import { crowded } from '../databases.js'

export const eightPools = contest({
  name: 'pools-8',
  contestants: { one: service(allocatingIn(1), 64), eight: service(allocatingIn(8), 64) },
  figures: [
    {
      name: 'pools-8',
      title: 'allocate spread over 8 pools, 64 connections, against all from one',
      ours: 'eight',
      against: 'one',
      goal: { atLeast: 0.9 },
    },
  ],
})

export const fullPool = contest({
  name: 'pool-full',
  long: 'fills a million addresses first',
  // See contestants/refilled.ts.
  seconds: 1,
  contestants: {
    empty: service(refilled('empty'), 64, { pool: '10.0.0.0/16' }),
    full: service(refilled('full'), 64, { database: crowded }),
  },
  figures: [
    {
      name: 'pool-full',
      title: 'allocate the last addresses of 2^20, 64 connections, against 2^16 empty ones',
      ours: 'full',
      against: 'empty',
      goal: { atLeast: 0.8 },
    },
  ],
})
