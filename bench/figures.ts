import { allocate64, allocate256 } from './figures/allocate.js'
import { audit, batch } from './figures/bulk.js'
import { again, lookup, registration, release } from './figures/by-name.js'
import { memory, start, stored } from './figures/capacity.js'
import { cluster, steady } from './figures/cluster.js'
import { console } from './figures/console.js'
import { hook } from './figures/hook.js'
import { overload } from './figures/overload.js'
import { eightPools, fullPool } from './figures/pools.js'
import { replicas } from './figures/replicas.js'
import { single } from './figures/single.js'
import type { Measurement } from './measurement.js'

/** All measurements, in the order of the table. A new line of the table is a figure of one of them, or of a new one. */
export const measurements: readonly Measurement[] = [
  allocate64,
  allocate256,
  fullPool,
  audit,
  eightPools,
  replicas,
  single,
  lookup,
  registration,
  again,
  release,
  hook,
  batch,
  console,
  stored,
  start,
  memory,
  overload,
  cluster,
  steady,
]
