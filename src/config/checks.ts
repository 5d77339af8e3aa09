import { readFileSync } from 'node:fs'
import { canonicalAddress, parseCidr } from '../core/ip.js'

// What may be wrong with the value of a setting, in words that follow the setting and the value; null: nothing.

/** `namespace/name` of an object in the cluster. */
export const OBJECT = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/
const ACCOUNT = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?)\/([a-z0-9]([-a-z0-9.]*[a-z0-9])?)=(\w+)$/
const roles = ['admin', 'join', 'cloudcore', 'northbound', 'auditor']

/** What is wrong with a list of ServiceAccounts and their roles, or null. */
export function serviceAccountsProblem(value: string): string | null {
  const wrong = listed(value).filter((one) => !roles.includes(ACCOUNT.exec(one)?.[5] ?? ''))
  if (wrong.length > 0) {
    return `${wrong.join(', ')}: has to be <namespace>/<name>=<role>, and the role one of ${roles.join(', ')}`
  }
  const names = listed(value).map((one) => one.split('=')[0]!)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? null : `${twice}: has two roles; one is meant`
}

export function oneOf(value: string, values: readonly string[]): string | null {
  return values.includes(value) ? null : `has to be one of ${values.join(', ')}`
}

export function whole(value: string, least: number, most: number): string | null {
  return /^\d{1,8}$/.test(value) && Number(value) >= least && Number(value) <= most
    ? null
    : `has to be a whole number from ${least} to ${most}`
}

/** What is wrong with the name of a file that is to be read, or null. */
export function readable(file: string): string | null {
  try {
    readFileSync(file)
    return null
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code})`
  }
}

/** The parts of a list with commas between. */
export function listed(value: string): string[] {
  return value.split(',').map((one) => one.trim())
}

export function isAddressOrCidr(value: string): boolean {
  try {
    if (value.includes('/')) parseCidr(value)
    else canonicalAddress(value)
    return true
  } catch {
    return false
  }
}

export function url(value: string, protocols: readonly string[]): string | null {
  const wanted = `has to begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  try {
    const { protocol, hostname } = new URL(value)
    if (!protocols.includes(protocol)) return wanted
    // A socket's folder may stand in the place of the host, or in the query.
    return hostname === '' && !value.includes('host=') && !value.includes('%2F') ? 'names no host' : null
  } catch {
    return `${wanted} and name a host; a password in it has to be percent-encoded`
  }
}
