import { allocate64, allocate256 } from './figures/allocate.js'
import { lookup, registration, release } from './figures/by-name.js'
import { eightPools } from './figures/pools.js'
import { replicas } from './figures/replicas.js'
import { single } from './figures/single.js'
import type { Measurement } from './measurement.js'

/** All measurements, in the order of the table. A new line of the table is a figure of one of them, or of a new one. */
export const measurements: readonly Measurement[] = [
  allocate64,
  allocate256,
  eightPools,
  replicas,
  single,
  lookup,
  registration,
  release,
]
