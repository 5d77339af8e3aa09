import { measureFirstLook } from '../cluster/first-look.js'
import { measureSteady } from '../cluster/steady.js'
import { probe } from '../probe.js'

export const cluster = probe({
  name: 'cluster',
  figures: [
    {
      name: 'cluster',
      title:
        'from the start of the process until its findings are complete, in a cluster of 5,000 nodes that it never saw',
      unit: 's',
    },
    { name: 'cluster-again', title: 'the same where the process before it had seen them', unit: 's' },
  ],
  measure: measureFirstLook,
})

export const steady = probe({
  name: 'cluster-steady',
  long: 'takes five minutes',
  figures: [
    {
      name: 'cluster-memory',
      title: 'memory of a process with 5,000 nodes that write their status again and again, at most',
      unit: 'MB',
    },
    { name: 'cluster-growth', title: 'its memory at the end against that after a third of the time', unit: '' },
    { name: 'cluster-service', title: 'what they cost the service, in a second', unit: 'ms' },
    { name: 'cluster-database', title: 'what they cost PostgreSQL, in a second', unit: 'ms' },
    { name: 'cluster-look', title: 'what a look at all of them costs both together', unit: 'ms' },
  ],
  measure: measureSteady,
})
