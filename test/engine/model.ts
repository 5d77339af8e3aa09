import { ok } from 'node:assert/strict'

// What allocation means, in the plainest terms there are: a list of rows, looked through from end to end. It shares
// nothing with the engine; the two have to agree.

export interface Row {
  node: string
  address: bigint
  pool: ModelPool
  state: 'allocated' | 'registered' | 'quarantined'
  /** Its quarantine has ended; it was not swept yet. */
  over: boolean
  sequence: number
  /** Its node was forgotten: whoever has the name now is another one. */
  orphaned: boolean
}

export interface ModelPool {
  name: string
  /** What the CIDR spans, edges included. */
  first: bigint
  last: bigint
  /** The addresses that may be handed out. */
  usable: bigint[]
}

export interface Wish {
  pool?: string
  address?: bigint
}

export class Model {
  readonly rows: Row[] = []
  /** What every known node holds or held last. */
  readonly nodes = new Map<string, bigint | null>()
  reservations: { id: string; pool: ModelPool; first: bigint; last: bigint }[] = []

  /** @param pools in the order in which they are tried */
  constructor(readonly pools: readonly ModelPool[]) {}

  holding(node: string): Row | undefined {
    return this.rows.find((row) => row.node === node && row.state !== 'quarantined')
  }

  at(address: bigint): Row | undefined {
    return this.rows.find((row) => row.address === address)
  }

  poolOf(address: bigint): ModelPool | undefined {
    return this.pools.find((pool) => pool.first <= address && address <= pool.last)
  }

  isReserved(address: bigint): boolean {
    return this.reservations.some(({ first, last }) => first <= address && address <= last)
  }

  /** What a node that asks for nothing in particular may get of a pool. What rests longer comes first. */
  available(pool: ModelPool): bigint[] {
    const open = pool.usable.filter((address) => !this.isReserved(address))
    const free = open.filter((address) => !this.at(address))
    return free.length > 0 ? free : open.filter((address) => this.at(address)!.over)
  }

  /** What has to come of a request: a refusal, one certain address, or one of several. */
  expected(node: string, wish: Wish): { refusal: string } | { existing: bigint } | { oneOf: bigint[] } {
    const held = this.holding(node)
    if (held) {
      const other =
        (wish.address !== undefined && wish.address !== held.address) ||
        (wish.pool !== undefined && wish.pool !== held.pool.name)
      return other ? { refusal: 'allocation_conflict' } : { existing: held.address }
    }
    if (wish.address !== undefined) {
      const refusal = this.#refusalOf(node, wish.address, wish.pool)
      return refusal === null ? { oneOf: [wish.address] } : { refusal }
    }
    const last = this.nodes.get(node) ?? null
    if (last !== null && this.#refusalOf(node, last, wish.pool) === null) return { oneOf: [last] }
    for (const pool of this.pools.filter(({ name }) => wish.pool === undefined || wish.pool === name)) {
      const available = this.available(pool)
      if (available.length > 0) return { oneOf: available }
    }
    return { refusal: 'pool_exhausted' }
  }

  #refusalOf(node: string, address: bigint, poolName: string | undefined): string | null {
    const pool = this.poolOf(address)
    if (!pool || (poolName !== undefined && pool.name !== poolName)) return 'address_not_in_pool'
    if (!pool.usable.includes(address) || this.isReserved(address)) return 'address_reserved'
    const row = this.at(address)
    if (!row || row.over) return null
    if (row.state !== 'quarantined') return 'address_in_use'
    return row.node === node && !row.orphaned ? null : 'address_quarantined'
  }

  /** The node has got the address. */
  give(node: string, address: bigint, sequence: number): void {
    const index = this.rows.findIndex((row) => row.address === address)
    if (index >= 0) this.rows.splice(index, 1)
    const pool = this.poolOf(address)
    ok(pool, `${address} is of no pool`)
    this.rows.push({ node, address, pool, state: 'allocated', over: false, sequence, orphaned: false })
    this.nodes.set(node, address)
  }

  /** Comes back with what has to be refused, or with the row that is in quarantine now. */
  release(row: Row | undefined, force: boolean): string | Row {
    if (!row || row.over) return 'allocation_not_found'
    if (row.state === 'registered' && !force) return 'node_still_registered'
    row.state = 'quarantined'
    return row
  }

  /** The row that a release by the node's name means. */
  meantByName(node: string): Row | undefined {
    return this.holding(node) ?? this.rows.find((row) => row.node === node && this.nodes.get(node) === row.address)
  }

  /** The row that a release by the address means: nobody's late repeat touches the next one. */
  meantByAddress(address: bigint): Row | undefined {
    const row = this.at(address)
    return row?.state === 'quarantined' && this.nodes.get(row.node) !== address ? undefined : row
  }

  forget(node: string): void {
    this.nodes.delete(node)
    for (const row of this.rows) row.orphaned ||= row.node === node
  }

  sweep(): void {
    for (const row of this.rows.filter((row) => row.over)) this.rows.splice(this.rows.indexOf(row), 1)
  }
}
