import pg from 'pg'
import { type Cidr, formatAddress, parseAddress, parseCidr } from '../../src/core/ip.js'
import { capacity, freeRanges, usableRange } from '../../src/core/pool.js'
import { type Range, RangeSet } from '../../src/core/range-set.js'

// What must hold in the database at every commit, checked from outside: by SQL that uses none of the service's own,
// and by the pure set arithmetic of src/core. Everything here answers with a list of sentences, empty if all is well.

/** An allocation that a caller was told of. */
export interface Answered {
  name: string
  address: string
  sequence: number
}

/** A database's URL, or a connection that the caller keeps. */
export type Where = string | pg.ClientBase

/** Whatever is wrong with the database, at one instant. Also under load: it reads a single snapshot. */
export function violations(where: Where): Promise<string[]> {
  return inSnapshot(where, async (db) => [
    ...(await brokenRows(db)),
    ...(await brokenHistory(db)),
    ...(await brokenPools(db)),
  ])
}

/** Each query's rows are violations, told by its first column. */
async function each(db: pg.ClientBase, queries: Record<string, string>): Promise<string[]> {
  const found: string[] = []
  for (const [what, text] of Object.entries(queries)) {
    const { rows } = await db.query({ text, rowMode: 'array' })
    for (const row of rows) found.push(`${what}: ${row.join(', ')}`)
  }
  return found
}

function brokenRows(db: pg.ClientBase): Promise<string[]> {
  return each(db, {
    'address held twice': 'select address from allocations group by address having count(*) > 1',
    'node with two addresses': `select node_name from allocations where state <> 'quarantined'
      group by node_name having count(*) > 1`,
    'address of no pool': `select a.address from allocations a left join pools p on p.id = a.pool_id
      where p.id is null or not a.address <<= p.cidr`,
    'address of a node that nobody knows, or that remembers another one': `select a.address, a.node_name, n.last_address
      from allocations a left join nodes n on n.name = a.node_name
      where a.state <> 'quarantined' and n.last_address is distinct from a.address`,
    'reserved address in use': `select a.address from allocations a
      join reservations r on a.address between r.first_address and r.last_address where a.state <> 'quarantined'`,
    'sequence taken twice': 'select sequence from allocations group by sequence having count(*) > 1',
  })
}

/** The audit trail alone has to tell, row for row, what the tables say. */
function brokenHistory(db: pg.ClientBase): Promise<string[]> {
  return each(db, {
    'allocation without the audit row that made it': `select a.address, a.node_name, a.sequence from allocations a
      where not exists (select from audit h
        where h.node_name = a.node_name and h.address = a.address and (h.after ->> 'sequence')::bigint = a.sequence
          and h.action in ('allocation.created', 'node.reregistered'))`,
    'sequence created twice': `select after ->> 'sequence' from audit where action = 'allocation.created'
      group by 1 having count(*) > 1`,
    'address whose last audit row says another thing': `
      select coalesce(a.address, h.address), a.state, h.action, h.node_name
      from (select distinct on (address) * from audit where action::text like 'allocation.%' order by address, id desc) h
      full join allocations a on a.address = h.address
      where a.state::text is distinct from case h.action when 'allocation.created' then 'allocated'
          when 'allocation.registered' then 'registered' when 'allocation.released' then 'quarantined' end
        or a.address is not null and a.node_name is distinct from h.node_name`,
    'impossible step in the history of an address': `
      select address, id, action, node_name, was, was_node from (
        select *, lag(action) over w as was, lag(node_name) over w as was_node
        from audit where action::text like 'allocation.%' window w as (partition by address order by id)
      ) h
      where not case action
        when 'allocation.created' then was is null or was = 'allocation.freed'
          or was = 'allocation.released' and node_name = was_node
        when 'allocation.registered' then was = 'allocation.created' and node_name = was_node
        when 'allocation.released' then was in ('allocation.created', 'allocation.registered') and node_name = was_node
        when 'allocation.freed' then was = 'allocation.released' and node_name = was_node
      end`,
  })
}

interface PoolState {
  id: number
  name: string
  cidr: string
  held: string
  rows: string
  cursor: string | null
}

async function brokenPools(db: pg.ClientBase): Promise<string[]> {
  const found: string[] = []
  const pools = await db.query<PoolState>(`
    select id, name, cidr, held, host(cursor_address) as cursor, (select count(*) from allocations a where a.pool_id = p.id) as rows from pools p`)
  for (const pool of pools.rows) {
    if (pool.held !== pool.rows) found.push(`pool ${pool.name} counts ${pool.held} held addresses of ${pool.rows}`)
    const cidr = parseCidr(pool.cidr)
    const reservations = await ranges(db, 'reservations', pool.id)
    const held = await db.query<{ address: string }>(
      'select host(address) as address from allocations where pool_id = $1',
      [pool.id],
    )
    const values = held.rows.map((row) => parseAddress(row.address).value)
    const usable = usableRange(cidr)
    for (const value of values) {
      if (value < usable.first || value > usable.last) found.push(`pool ${pool.name} gave away an edge: ${value}`)
    }
    const stored = await ranges(db, 'free_ranges', pool.id)
    for (const [index, range] of stored.entries()) {
      const before = stored[index - 1]
      if (before && range.first <= before.last) found.push(`pool ${pool.name}: free ranges overlap at ${range.first}`)
      // Neighbours are one range, but for those that the cursor keeps apart.
      if (
        before &&
        range.first === before.last + 1n &&
        formatAddress({ family: cidr.family, value: before.last }) !== pool.cursor
      ) {
        found.push(`pool ${pool.name}: two free ranges meet at ${range.first}`)
      }
    }
    const is = textOf(cidr, RangeSet.from(stored))
    const should = textOf(cidr, freeRanges(cidr, reservations, values))
    if (is !== should) found.push(`pool ${pool.name}: free is [${is}], should be [${should}]`)
    // What a pool stores follows what is held, never its size.
    if (stored.length > values.length + reservations.length + 2) {
      found.push(`pool ${pool.name} keeps ${stored.length} free ranges for ${values.length} held addresses`)
    }
  }
  return found
}

function textOf(cidr: Cidr, set: RangeSet): string {
  const text = (value: bigint) => formatAddress({ family: cidr.family, value })
  return set.ranges.map(({ first, last }) => `${text(first)}-${text(last)}`).join(' ')
}

async function ranges(db: pg.ClientBase, table: 'reservations' | 'free_ranges', poolId: number): Promise<Range[]> {
  const { rows } = await db.query<{ first: string; last: string }>(
    `select host(first_address) as first, host(last_address) as last from ${table}
     where pool_id = $1 order by first_address`,
    [poolId],
  )
  return rows.map(({ first, last }) => ({ first: parseAddress(first).value, last: parseAddress(last).value }))
}

/** The numbers of a pool as the API has them. */
export interface PoolNumbers {
  name: string
  utilization: Record<'capacity' | 'allocated' | 'quarantined' | 'reserved' | 'free', number | bigint>
}

/**
 * What is wrong with the numbers of `GET /v1/pools`, at a time when nothing changes. For pools whose numbers fit a
 * double.
 */
export function wrongNumbers(where: Where, pools: readonly PoolNumbers[]): Promise<string[]> {
  return inSnapshot(where, async (db) => {
    const found: string[] = []
    for (const { name, utilization } of pools) {
      const { rows } = await db.query(
        `select p.id, p.cidr,
           (select count(*)::int from allocations a where a.pool_id = p.id and a.state <> 'quarantined') as allocated,
           (select count(*)::int from allocations a where a.pool_id = p.id and a.state = 'quarantined'
             and a.quarantined_until > clock_timestamp()
             and not exists (select from reservations r where a.address between r.first_address and r.last_address)
           ) as quarantined
         from pools p where p.name = $1`,
        [name],
      )
      const [pool] = rows
      const cidr = parseCidr(pool.cidr)
      const usable = RangeSet.of(usableRange(cidr))
      const reserved = Number(RangeSet.from(await ranges(db, 'reservations', pool.id)).intersect(usable).size)
      const { allocated, quarantined } = pool
      const total = Number(capacity(cidr))
      const should = {
        capacity: total,
        allocated,
        quarantined,
        reserved,
        free: total - allocated - quarantined - reserved,
      }
      const is = numbersText(utilization)
      if (is !== numbersText(should)) found.push(`pool ${name} says ${is}, but it is ${numbersText(should)}`)
    }
    return found
  })
}

function numbersText(numbers: object): string {
  return Object.entries(numbers)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')
}

/** The answered allocations that are not there: neither in force, nor released or under another sequence since. */
export function lostAnswers(where: Where, answered: readonly Answered[]): Promise<string[]> {
  return inSnapshot(where, async (db) => {
    const { rows } = await db.query<Answered>(
      `select s.name, s.address, s.sequence
       from jsonb_to_recordset($1) as s (name text, address inet, sequence bigint)
       where not exists (select from audit h
           where h.node_name = s.name and h.action in ('allocation.created', 'node.reregistered')
             and h.address = s.address and (h.after ->> 'sequence')::bigint = s.sequence)
         or not exists (select from allocations a
             where a.node_name = s.name and a.address = s.address and a.sequence = s.sequence
               and a.state <> 'quarantined')
           and not exists (select from audit h
             where h.node_name = s.name and h.action in ('allocation.released', 'node.reregistered')
               and h.address = s.address and (h.before ->> 'sequence')::bigint = s.sequence)`,
      [JSON.stringify(answered)],
    )
    return rows.map((row) => `lost: ${row.name} had ${row.address} as ${row.sequence}`)
  })
}

/** By reading tables, not indexes: a broken index must not hide what is in the table. */
async function inSnapshot(where: Where, look: (db: pg.ClientBase) => Promise<string[]>): Promise<string[]> {
  const own = typeof where === 'string' ? new pg.Client({ connectionString: where }) : undefined
  await own?.connect()
  const db = own ?? (where as pg.ClientBase)
  try {
    await db.query('begin isolation level repeatable read read only')
    await db.query(
      'set local enable_indexscan = off; set local enable_bitmapscan = off; set local enable_indexonlyscan = off',
    )
    return await look(db)
  } finally {
    await db.query('rollback')
    await own?.end()
  }
}
