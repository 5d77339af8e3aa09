import { contest } from '../contest.js'
import { allocatingIn } from '../contestants/allocating.js'
import { service } from '../contestants/service.js'

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
