// What is kept of each node of the cluster from one look at it to the next, so that a restart forgets nothing.

/** What a node says of the machine that it runs on (`status.nodeInfo`); empty where it says nothing. */
export interface Machine {
  machineId: string
  systemUuid: string
  /** A new one at each boot, and never an old one again. */
  bootId: string
}

/** A machine, and since when it was the one that reported. Plain JSON. */
export interface MachineSeen extends Machine {
  /** The database's clock, in milliseconds since 1970. */
  at: number
}

export interface Sighting {
  name: string
  /** Every InternalIP that it was seen with, the newest last; not without end. */
  addresses: readonly string[]
  /** The machines that reported under its name, one after the other; not without end. */
  machines: readonly MachineSeen[]
  /** Of one that is missing: when the cluster was last looked at and still had it (milliseconds since 1970), if it ever did. */
  lastSeen: number | null
  /** Since when it is missing from the cluster (milliseconds since 1970); null: it is there. */
  absentSince: number | null
  /** How often in a row it was missing, up to `MOST_ABSENCES`. */
  absences: number
}

/** What has to be written after a look at the cluster. */
export interface SightingChanges {
  /** These are there, and something of them is new. */
  present: Pick<Sighting, 'name' | 'addresses' | 'machines'>[]
  /** These are missing once more. */
  absent: string[]
}

/** Nobody counts further, so that a node that is gone for good is not written for ever. */
export const MOST_ABSENCES = 10
const MOST_ADDRESSES = 16
const MOST_MACHINES = 8

/** How soon (ms) a machine has to come back for two to claim one name; a repaired device comes back later, and is one. */
const TURNS_WITHIN = 3_600_000

/**
 * What a look at the cluster changes of what is known; nothing, where nothing has changed.
 * @param expected further names that ought to be in the cluster: who is registered, and was never seen
 */
export function changesOf(
  known: ReadonlyMap<string, Sighting>,
  nodes: readonly { name: string; internalIps: readonly string[]; machine: Machine }[],
  expected: Iterable<string>,
  now: number,
): SightingChanges {
  const names = new Set(nodes.map(({ name }) => name))
  const present = nodes.flatMap(({ name, internalIps, machine }) => {
    const before = known.get(name)
    const addresses = withAddresses(before?.addresses ?? [], internalIps)
    const machines = withMachine(before?.machines ?? [], machine, now)
    const same = before?.addresses === addresses && before.machines === machines && before.absences === 0
    return same ? [] : [{ name, addresses, machines }]
  })
  const missing = [...new Set([...known.keys(), ...expected])].filter((name) => !names.has(name))
  return { present, absent: missing.filter((name) => (known.get(name)?.absences ?? 0) < MOST_ABSENCES) }
}

/** The same list where nothing is new. */
function withAddresses(before: readonly string[], reported: readonly string[]): readonly string[] {
  const now = reported.slice(0, MOST_ADDRESSES)
  if (now.every((address) => before.includes(address))) return before
  return [...new Set([...before.filter((address) => !now.includes(address)), ...now])].slice(-MOST_ADDRESSES)
}

/** The same list where it is the machine that it was. One that tells nothing of itself is none. */
function withMachine(before: readonly MachineSeen[], machine: Machine, now: number): readonly MachineSeen[] {
  const { machineId, systemUuid, bootId } = machine
  if (machineId === '' && systemUuid === '' && bootId === '') return before
  const last = before.at(-1)
  if (last?.machineId === machineId && last.systemUuid === systemUuid && last.bootId === bootId) return before
  return [...before, { machineId, systemUuid, bootId, at: now }].slice(-MOST_MACHINES)
}

/**
 * Two machines that report under one name by turns: one of them was there, then another, then the first one again. One
 * machine that boots is no other, nor is a device that takes another's place. Over, when no turn was seen for an hour.
 * @returns the two, as texts for people
 */
export function twoMachines(seen: readonly MachineSeen[], now: number): [string, string] | undefined {
  if (seen.length < 3) return undefined
  // Copied disks have one machine ID, and cheap boards one UUID: of these the boot tells which is which.
  for (const id of ['machineId', 'systemUuid', 'bootId'] as const) {
    const two = turnOf(
      seen.map((machine) => ({ id: machine[id], at: machine.at })),
      now,
    )
    if (two !== undefined) return two
  }
  return undefined
}

function turnOf(seen: readonly { id: string; at: number }[], now: number): [string, string] | undefined {
  const turns = seen.filter(({ id }) => id !== '').filter(({ id }, index, all) => id !== all[index - 1]?.id)
  for (let back = turns.length - 1; back >= 2 && now - turns[back]!.at < TURNS_WITHIN; back--) {
    const before = turns.findLastIndex(({ id }, index) => index < back && id === turns[back]!.id)
    // It had left when the next one came.
    if (before !== -1 && turns[back]!.at - turns[before + 1]!.at < TURNS_WITHIN) {
      return [turns[back]!.id, turns[back - 1]!.id]
    }
  }
  return undefined
}
