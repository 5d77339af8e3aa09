const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** Milliseconds of a duration as Go writes it (`1m30s`, `1.5s`, `500ms`); undefined where it is none. */
export function millisecondsOf(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined
  let sum = 0
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) sum += Number(number) * units[unit!]!
  return sum
}
