// Which addresses of nodes that are gone may be taken back without anybody's word. Pure. An address is in use until the
// contrary is proven: healthy nodes that were released have cost others a day (calico#5044).

/** A node that holds an address, and that the cluster was seen without. */
export interface Gone {
  nodeName: string
  address: string
  sequence: number
  state: 'allocated' | 'registered'
  pool: string
  /** For how long (ms) it is missing. */
  absentFor: number
  /** In how many looks at the cluster, in a row. */
  absences: number
}

export interface ReclaimRules {
  /** How long (ms) it has to be missing. */
  grace: number
  /** How much (0 to 1) of what a pool's nodes hold may be gone at once, before somebody has to look. */
  share: number
}

export interface ReclaimPlan {
  /** Every rule is met, but for the last look at the cluster right before the release. */
  due: Gone[]
  /** Seen missing too few times, or not for long enough. */
  waiting: Gone[]
  /** Of these pools more is gone than is believed: an administrator has to say that it is so. */
  heldBack: { pool: string; gone: number; most: number }[]
}

const LOOKS = 2

/**
 * Who is due. Of a pool of which too much is gone at once, nobody: then it is more likely that the cluster is seen wrongly
 * (its data restored from a backup, the wrong cluster) than that so many nodes are gone. A single one always may be.
 * @param held how many addresses the nodes of each pool hold
 */
export function planReclaim(
  gone: readonly Gone[],
  held: ReadonlyMap<string, number>,
  { grace, share }: ReclaimRules,
): ReclaimPlan {
  const counts = new Map<string, number>()
  for (const { pool } of gone) counts.set(pool, (counts.get(pool) ?? 0) + 1)
  const heldBack = [...counts].flatMap(([pool, count]) => {
    const most = Math.max(1, Math.floor(share * (held.get(pool) ?? 0)))
    return count > most ? [{ pool, gone: count, most }] : []
  })
  const tooMuch = new Set(heldBack.map(({ pool }) => pool))
  const proven = (one: Gone) => one.absences >= LOOKS && one.absentFor >= grace
  return {
    due: gone.filter((one) => proven(one) && !tooMuch.has(one.pool)),
    waiting: gone.filter((one) => !proven(one)),
    heldBack,
  }
}
