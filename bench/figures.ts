import { type Builder, bare, pgbench, service } from './contestants.js'

/** One line of the table: one contestant against another one of the same contest. */
export interface Figure {
  name: string
  /** What it says, for people. */
  title: string
  ours: string
  against: string
  /** Default: the rate. */
  metric?: 'rate' | 'p99'
  goal?: { atLeast: number } | { atMost: number }
}

/** Contestants that are measured in turns, and the figures that come of it. */
export interface Contest {
  name: string
  contestants: Record<string, Builder>
  figures: Figure[]
}

/** All figures, in the order of the table. Each contest starts with fresh processes and databases. */
export const contests: Contest[] = [
  {
    name: 'allocate-64',
    contestants: {
      bare: bare('allocate', 64),
      service: service('allocate', 64),
      'service+redis': service('allocate', 64, { redis: true }),
      pgbench: pgbench(64),
    },
    figures: [
      {
        name: 'allocate-64',
        title: 'allocate new names, 64 connections, against a bare POST',
        ours: 'service',
        against: 'bare',
        goal: { atLeast: 0.8 },
      },
      {
        name: 'allocate-64-redis',
        title: 'the same with the Redis lock',
        ours: 'service+redis',
        against: 'bare',
        goal: { atLeast: 0.8 },
      },
      {
        name: 'allocate-64-p99',
        title: 'its p99 against that of the bare POST',
        ours: 'service',
        against: 'bare',
        metric: 'p99',
        goal: { atMost: 2 },
      },
      {
        name: 'redis-64',
        title: 'with Redis against without, 64 connections',
        ours: 'service+redis',
        against: 'service',
        goal: { atLeast: 0.9 },
      },
      {
        name: 'pgbench-64',
        title: "allocate, 64 connections, against pgbench's single-row INSERT, 64 clients",
        ours: 'service',
        against: 'pgbench',
        goal: { atLeast: 2 },
      },
    ],
  },
  {
    name: 'allocate-256',
    contestants: {
      bare: bare('allocate', 256),
      service: service('allocate', 256),
      'service+redis': service('allocate', 256, { redis: true }),
    },
    figures: [
      {
        name: 'allocate-256',
        title: 'allocate new names, 256 connections, against a bare POST',
        ours: 'service',
        against: 'bare',
        goal: { atLeast: 1 },
      },
      {
        name: 'allocate-256-redis',
        title: 'the same with the Redis lock',
        ours: 'service+redis',
        against: 'bare',
        goal: { atLeast: 1 },
      },
      {
        name: 'redis-256',
        title: 'with Redis against without, 256 connections',
        ours: 'service+redis',
        against: 'service',
        goal: { atLeast: 0.9 },
      },
    ],
  },
  {
    name: 'lookup',
    contestants: { bare: bare('lookup', 64), service: service('lookup', 64) },
    figures: [
      {
        name: 'lookup',
        title: 'unique IP by name, 64 connections, against a bare GET',
        ours: 'service',
        against: 'bare',
        goal: { atLeast: 0.7 },
      },
    ],
  },
  {
    name: 'registration',
    contestants: { bare: bare('registration', 64), service: service('registration', 64) },
    figures: [
      {
        name: 'registration',
        title: 'registration with nothing changed, 64 connections, against a bare POST',
        ours: 'service',
        against: 'bare',
        goal: { atLeast: 0.7 },
      },
    ],
  },
  {
    name: 'release',
    contestants: { bare: bare('release', 64), service: service('release', 64) },
    figures: [
      {
        name: 'release',
        title: 'release, 64 connections, against a bare DELETE',
        ours: 'service',
        against: 'bare',
      },
    ],
  },
]
