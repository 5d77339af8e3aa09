import { contest } from '../contest.js'
import { allocating, allocatingBatches } from '../contestants/allocating.js'
import { bare } from '../contestants/bare.js'
import { service } from '../contestants/service.js'
import { aged } from '../databases.js'

export const batch = contest({
  name: 'batch',
  long: 'as allocate-64, a thousand at a time',
  contestants: { bare: bare('batch', 8), service: service(allocatingBatches, 8) },
  figures: [
    {
      name: 'batch',
      title: 'batches of 1,000 new names, 8 connections, against a bare POST of as many',
      ours: 'service',
      against: 'bare',
    },
  ],
})

export const audit = contest({
  name: 'audit-10m',
  long: 'writes ten million audit rows first',
  contestants: { none: service(allocating, 64), aged: service(allocating, 64, { database: aged(10_000_000) }) },
  figures: [
    {
      name: 'audit-10m',
      title: 'allocate with 10M audit rows, 64 connections, against none',
      ours: 'aged',
      against: 'none',
      goal: { atLeast: 0.9 },
    },
  ],
})
