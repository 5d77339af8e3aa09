const OCTETS = Array.from({ length: 256 }, (_, value) => String(value))

/** More beginnings than this say too little. */
const MANY = 1_000

/** Whether a text could be a part of an IPv4 address, a dot between two octets included. */
export function isPartOfIPv4(part: string): boolean {
  return /^[0-9.]*[0-9]\.[0-9][0-9.]*$/.test(part)
}

/**
 * What an IPv4 address that has the part in it begins with, one way or another: `10.1.2.3` begins with that, `110.1.2.3`, or
 * `210.1.2.3`; where octets may stand before the part, with each of them. Undefined, if there are too many ways.
 */
export function beginningsOf(part: string): string[] | undefined {
  const dots = part.split('.').length - 1
  const cut = part.indexOf('.')
  // The part may begin within an octet.
  let beginnings = OCTETS.filter((octet) => octet.endsWith(part.slice(0, cut))).map((octet) => octet + part.slice(cut))
  const all = dots > 3 ? [] : [...beginnings]
  for (let before = 1; before <= 3 - dots; before++) {
    if (beginnings.length * OCTETS.length > MANY) return undefined
    beginnings = OCTETS.flatMap((octet) => beginnings.map((rest) => `${octet}.${rest}`))
    all.push(...beginnings)
  }
  return all
}
