import type { Finding } from '../core/finding.js'
import { addressOf } from '../core/ip.js'
import type { Allocated, Cluster, Memory } from '../core/pictures.js'
import { changesOf, type Sighting } from '../core/sightings.js'
import type { FindingOnWire } from '../schemas/finding.js'
import { databaseTime } from '../store/audit.js'
import * as store from '../store/findings.js'
import { allCidrs, allHeld, everHeld } from '../store/held.js'
import { listNetworks } from '../store/networks.js'
import { allSightings, forgetSightings, noteAbsent, notePresent } from '../store/sightings.js'
import { transaction, withRetries } from '../store/transaction.js'
import type { Context } from './context.js'

/** How long (days) it is kept what was found and is over, and where nodes that are gone were seen. */
const KEPT = 30

/** What is allocated now, and who had what the cluster's references name. @throws Problem store_unavailable */
export function allocatedNow({ db }: Pick<Context, 'db'>, references: Cluster['references']): Promise<Allocated> {
  const named = references.flatMap(({ addresses }) => addresses.map(({ address }) => address))
  const wanted = [...new Set(named)].filter((text) => addressOf(text) !== undefined)
  return withRetries(async () => ({
    pools: await allCidrs(db),
    held: await allHeld(db),
    networks: await listNetworks(db),
    former: wanted.length === 0 ? [] : await everHeld(db, wanted),
  }))
}

/**
 * Remembers a look at the cluster: which machines and addresses its nodes had, and who was missing how often and since
 * when. Nothing is written, where nothing has changed. An empty cluster is not believed: nobody is missed in it.
 * @param held who ought to be in the cluster, if it is registered
 * @returns all that is remembered now
 * @throws Problem store_unavailable
 */
export function noteSightings(
  { db, dryRun }: Pick<Context, 'db' | 'dryRun'>,
  nodes: Cluster['nodes'],
  held: Allocated['held'],
): Promise<Memory> {
  return transaction(db, dryRun, async (trx) => {
    const now = (await databaseTime(trx)).getTime()
    const known = byName(await allSightings(trx))
    if (nodes.length === 0) return { now, sightings: known }
    const registered = held.filter(({ state }) => state === 'registered').map(({ nodeName }) => nodeName)
    const { present, absent } = changesOf(known, nodes, registered, now)
    if (present.length === 0 && absent.length === 0) return { now, sightings: known }
    await notePresent(trx, present)
    await noteAbsent(trx, absent)
    await forgetSightings(trx, KEPT)
    return { now, sightings: byName(await allSightings(trx)) }
  })
}

function byName(sightings: readonly Sighting[]): Map<string, Sighting> {
  return new Map(sightings.map((one) => [one.name, one]))
}

/**
 * Makes these the open findings: new ones are raised, those that are open already keep their beginning, and those that
 * are not among them are over. Each key once. Nothing is written but the time, where nothing has changed.
 * @throws Problem store_unavailable
 */
export function keepFindings(
  { db, dryRun }: Pick<Context, 'db' | 'dryRun'>,
  found: readonly Finding[],
): Promise<{ raised: Finding[]; resolved: Finding[] }> {
  return transaction(db, dryRun, async (trx) => {
    await store.rewordFindings(trx, found)
    const raised = await store.raiseFindings(trx, found)
    const resolved = await store.resolveOthers(trx, found)
    await store.forgetFindings(trx, KEPT)
    await store.noteLook(trx)
    return { raised: raised.map(toFinding), resolved: resolved.map(toFinding) }
  })
}

/** How many are open, by kind; a kind of which none is open is missing. */
export function countOpenFindings(db: Context['db']): ReturnType<typeof store.countOpenFindings> {
  return withRetries(() => store.countOpenFindings(db))
}

/** A page of findings, in the order in which they were found. */
export async function listFindings(
  { db }: Pick<Context, 'db'>,
  filter: store.FindingFilter,
  page: { limit: number; after: number | null },
): Promise<FindingOnWire[]> {
  const rows = await withRetries(() => store.listFindings(db, filter, page))
  return rows.map((row) => ({
    id: String(row.id),
    ...toFinding(row),
    nodeName: row.subject_kind === 'Node' ? row.subject_name : null,
    since: row.since.toISOString(),
    lastSeen: (row.last_seen ?? row.since).toISOString(),
    resolvedAt: row.resolved_at?.toISOString() ?? null,
  }))
}

function toFinding(row: store.FindingRow): Finding {
  const { kind, subject_kind, subject_namespace: namespace, subject_name: name, message } = row
  return { kind, subject: { kind: subject_kind, namespace, name }, message }
}
