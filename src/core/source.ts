/**
 * Whom requests from an address are counted for. Who has one address of IPv6 has its /64; an IPv4 address is one source,
 * also where it is written as IPv6.
 */
export function sourceOf(ip: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip) ?? []
  if (mapped !== undefined) return mapped
  if (!ip.includes(':')) return ip
  const [head = ''] = ip.split('::')
  return [...head.split(':'), '0', '0', '0', '0'].slice(0, 4).join(':')
}
