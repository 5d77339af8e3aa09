import { type Static, Type } from '@fastify/type-provider-typebox'
import { Address, Cidr, closed, Labels, nullable, oneOf, PoolName, ref, Text, Time } from './common.js'

/** An integer that may be larger than a double is exact for: 2^80 addresses in a /48. */
const Count = Type.Unsafe<bigint>({ type: 'integer', minimum: 0 })

const utilizationExample = { capacity: 65534, allocated: 1200, quarantined: 3, reserved: 9, free: 64322 }
export const Utilization = Type.Object(
  {
    capacity: Count,
    allocated: Count,
    quarantined: Count,
    reserved: Count,
    free: Count,
  },
  {
    $id: 'Utilization',
    additionalProperties: false,
    description: 'Exact integers, however large: allocated + quarantined + reserved + free = capacity.',
    examples: [utilizationExample],
  },
)
export type Utilization = Static<typeof Utilization>

export const PoolState = oneOf(['active', 'draining', 'disabled'], {
  description: '`draining` gives nothing new, `disabled` also registers nobody who is not registered yet.',
})

export const NewReservation = Type.Object(
  {
    start: Address,
    end: Type.Optional(Address),
    reason: Type.String({ format: 'text', minLength: 1, maxLength: 1024 }),
  },
  { ...closed, examples: [{ start: '10.213.0.1', end: '10.213.0.9', reason: 'gateways' }] },
)
export type NewReservation = Static<typeof NewReservation>

const reservationExample = {
  id: '3',
  start: '10.213.0.1',
  end: '10.213.0.9',
  reason: 'gateways',
  createdAt: '2026-11-21T08:00:00.000Z',
}
export const Reservation = Type.Object(
  { id: Type.String(), start: Address, end: Address, reason: Type.String(), createdAt: Time },
  {
    $id: 'Reservation',
    additionalProperties: false,
    description: 'Addresses that are kept out of allocation, first and last included.',
    examples: [reservationExample],
  },
)
export type Reservation = Static<typeof Reservation>

const quarantineSeconds = Type.Integer({
  minimum: 0,
  maximum: 31_536_000,
  description: 'How long a released address rests before somebody else may have it.',
})
const priority = Type.Integer({ minimum: -1_000_000, maximum: 1_000_000, description: 'The lower, the earlier.' })

export const NewPool = Type.Object(
  {
    name: PoolName,
    cidr: Cidr,
    reservations: Type.Optional(Type.Array(NewReservation, { maxItems: 1000 })),
    quarantineSeconds: Type.Optional({ ...quarantineSeconds, default: 3600 }),
    priority: Type.Optional({ ...priority, default: 100 }),
    nodeSelector: Type.Optional(nullable(Labels)),
    state: Type.Optional(PoolState),
    description: Type.Optional(nullable(Text)),
  },
  { ...closed, examples: [{ name: 'default', cidr: '10.213.0.0/16', quarantineSeconds: 3600 }] },
)
export type NewPool = Static<typeof NewPool>

export const PoolPatch = Type.Object(
  {
    state: Type.Optional(PoolState),
    priority: Type.Optional(priority),
    nodeSelector: Type.Optional(nullable(Labels)),
    quarantineSeconds: Type.Optional(quarantineSeconds),
    description: Type.Optional(nullable(Text)),
    cidr: Type.Optional(Cidr),
  },
  { ...closed, examples: [{ state: 'draining' }] },
)
export type PoolPatch = Static<typeof PoolPatch>

export const Pool = Type.Object(
  {
    name: PoolName,
    cidr: Cidr,
    state: PoolState,
    priority,
    nodeSelector: nullable(Labels),
    quarantineSeconds,
    description: nullable(Type.String()),
    reservations: Type.Array(ref(Reservation)),
    utilization: ref(Utilization),
    createdAt: Time,
    updatedAt: Time,
  },
  {
    $id: 'Pool',
    additionalProperties: false,
    description: 'A range of addresses to allocate from, and how much of it is taken.',
    examples: [
      {
        name: 'default',
        cidr: '10.213.0.0/16',
        state: 'active',
        priority: 100,
        nodeSelector: null,
        quarantineSeconds: 3600,
        description: null,
        reservations: [reservationExample],
        utilization: utilizationExample,
        createdAt: '2026-11-21T08:00:00.000Z',
        updatedAt: '2026-11-21T08:00:00.000Z',
      },
    ],
  },
)
export type Pool = Static<typeof Pool>
