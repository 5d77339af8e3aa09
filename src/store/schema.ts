import type { ColumnType, Generated } from 'kysely'
import type { FindingKind, Subject } from '../core/finding.js'
import type { AllocationState } from '../core/lifecycle.js'
import type { ReaddressNodeState, ReaddressState } from '../core/readdress.js'
import type { MachineSeen } from '../core/sightings.js'

/** The tables as migrations/ made them. `inet` and `cidr` travel as text; PostgreSQL says what they are. */
export interface Database {
  pools: PoolsTable
  reservations: ReservationsTable
  free_ranges: FreeRangesTable
  allocations: AllocationsTable
  nodes: NodesTable
  tokens: TokensTable
  audit: AuditTable
  networks: NetworksTable
  discovered_networks: DiscoveredNetworksTable
  findings: FindingsTable
  sightings: SightingsTable
  cluster_look: ClusterLookTable
  readdress_runs: ReaddressRunsTable
  readdress_nodes: ReaddressNodesTable
}

export type Labels = Record<string, string>
export type PoolState = 'active' | 'draining' | 'disabled'
export type TokenRole = 'admin' | 'join' | 'cloudcore' | 'northbound' | 'auditor'
export type AuditAction =
  | 'pool.created'
  | 'pool.updated'
  | 'pool.deleted'
  | 'reservation.created'
  | 'reservation.deleted'
  | 'networks.replaced'
  | 'allocation.created'
  | 'allocation.registered'
  | 'allocation.released'
  | 'allocation.freed'
  | 'node.updated'
  | 'node.reregistered'
  | 'node.deleted'
  | 'token.created'
  | 'token.deleted'

/** A JSON column: read as a value, written as text. */
type Json<T> = ColumnType<T | null, string | null | undefined, string | null>
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>

export interface PoolsTable {
  id: Generated<number>
  name: string
  cidr: string
  state: Generated<PoolState>
  priority: Generated<number>
  node_selector: Json<Labels>
  quarantine_seconds: Generated<number>
  description: Nullable<string>
  held: Generated<number>
  cursor_address: Nullable<string>
  revision: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

export interface ReservationsTable {
  id: Generated<number>
  pool_id: number
  first_address: string
  last_address: string
  reason: string
  created_at: Generated<Date>
}

export interface FreeRangesTable {
  pool_id: number
  first_address: string
  last_address: string
}

export interface AllocationsTable {
  address: string
  pool_id: number
  node_name: string
  state: Generated<AllocationState>
  sequence: number
  allocated_at: Date
  registered_at: Nullable<Date>
  quarantined_until: Nullable<Date>
}

export interface NodesTable {
  name: string
  display_ip: Nullable<string>
  last_address: Nullable<string>
  node_uid: Nullable<string>
  reported_ip: Nullable<string>
  labels: Json<Labels>
  revision: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

export interface TokensTable {
  id: string
  role: TokenRole
  digest: Buffer
  name_pattern: Nullable<string>
  max_uses: Nullable<number>
  uses: Generated<number>
  expires_at: Nullable<Date>
  description: Nullable<string>
  created_at: Generated<Date>
  last_used_at: Nullable<Date>
  bootstrap: Generated<boolean>
}

export interface AuditTable {
  id: Generated<number>
  at: Date
  action: AuditAction
  actor: string
  request_id: Nullable<string>
  node_name: Nullable<string>
  address: Nullable<string>
  pool: Nullable<string>
  before: Json<Record<string, unknown>>
  after: Json<Record<string, unknown>>
}

export interface NetworksTable {
  id: Generated<number>
  kind: string
  cidr: string
  description: Nullable<string>
}

export interface DiscoveredNetworksTable {
  kind: string
  cidr: string
  source: string
}

export interface FindingsTable {
  id: Generated<number>
  kind: FindingKind
  subject_kind: Subject['kind']
  subject_namespace: Generated<string>
  subject_name: string
  message: string
  since: Generated<Date>
  last_seen: Nullable<Date>
  resolved_at: Nullable<Date>
}

export interface SightingsTable {
  name: string
  addresses: Generated<string[]>
  machines: ColumnType<MachineSeen[], string | undefined, string>
  last_seen: Nullable<Date>
  absent_since: Nullable<Date>
  absences: Generated<number>
}

export interface ClusterLookTable {
  one: Generated<boolean>
  at: Date
}

export interface ReaddressRunsTable {
  id: string
  number: Generated<number>
  state: Generated<ReaddressState>
  actor: string
  request_id: Nullable<string>
  at_once: number
  stop_after_failures: number
  timeout_seconds: number
  settle_seconds: number
  stopped_by: Nullable<string>
  created_at: Generated<Date>
  ended_at: Nullable<Date>
}

export interface ReaddressNodesTable {
  run_id: string
  position: number
  node_name: string
  unique_ip: string
  reported_ip: Nullable<string>
  state: Generated<ReaddressNodeState>
  message: Nullable<string>
  started_at: Nullable<Date>
  job_made_at: Nullable<Date>
  job_kept: Generated<boolean>
  reported_since: Nullable<Date>
  trouble_since: Nullable<Date>
  /** An interval; only the database reckons with it. */
  unseen: Generated<string>
  ended_at: Nullable<Date>
}
