import { measureMemory, measureStart } from '../capacity/process.js'
import { measureStored } from '../capacity/stored.js'
import { probe } from '../probe.js'

export const stored = probe({
  name: 'stored',
  figures: [
    {
      name: 'stored',
      title: 'stored for each allocation (node with display IP and UID) with its audit row, all indexes included',
      unit: 'bytes',
      goal: { atMost: 600 },
    },
    {
      name: 'stored-plain',
      title: 'the same where the node tells its display IP only',
      unit: 'bytes',
      long: 'as stored',
    },
    {
      name: 'stored-node',
      title: 'beside it, what is known of the node (display IP and UID), found by name and by display IP',
      unit: 'bytes',
    },
    { name: 'stored-free', title: 'stored for each free address', unit: 'bytes', goal: { atMost: 0 } },
  ],
  measure: measureStored,
})

export const start = probe({
  name: 'start',
  figures: [
    {
      name: 'start',
      title: 'from the start of the process until it is ready, with 1M allocations',
      unit: 's',
      goal: { atMost: 2 },
    },
    { name: 'start-empty', title: 'the same with nothing in the database', unit: 's' },
  ],
  measure: measureStart,
})

export const memory = probe({
  name: 'memory',
  long: 'takes ten minutes',
  figures: [
    {
      name: 'memory',
      title: 'memory of a process with 1M allocations under ten minutes of mixed load, at most',
      unit: 'MB',
      goal: { atMost: 200 },
    },
    {
      name: 'memory-growth',
      title: 'its memory at the end against that after a third of the time',
      unit: '',
      goal: { atMost: 1.1 },
    },
  ],
  measure: measureMemory,
})
