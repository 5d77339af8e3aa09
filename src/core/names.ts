// The rules for names, labels and patterns. Each check answers null, or a sentence that says what is wrong and the way
// out. The sentences never repeat what was sent: they also reach callers that must not be able to use them as an echo.

import { isReadableAsAddress } from './ip.js'

const MAX_SUBDOMAIN = 253
const MAX_DNS_LABEL = 63
const MAX_LABEL_PART = 63

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const LABEL_PART = /^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$/

/** What is wrong with a node's name: a DNS-1123 subdomain that nothing reads as an address is right. */
export function nodeNameProblem(name: string): string | null {
  const problem = subdomainProblem('A node name', name)
  if (problem !== null) return problem
  // In logs, selectors and host lists such a name would be taken for the address, and it may be another node's.
  return isReadableAsAddress(name)
    ? 'A node name must not be readable as an IP address; add a letter, as in edge-1 in place of 1.'
    : null
}

/** What is wrong with a pool's name: one DNS-1123 label is right. */
export function poolNameProblem(name: string): string | null {
  if (name === '') return 'A pool name is missing; write one such as edge-west.'
  if (name.length > MAX_DNS_LABEL) return `A pool name has at most ${MAX_DNS_LABEL} characters; shorten it.`
  return DNS_LABEL.test(name)
    ? null
    : 'A pool name has only lower-case letters, digits and hyphens, and starts and ends with a letter or digit.'
}

/** What is wrong with what comes after names to make them names of DNS: a domain, or `.` for nothing. */
export function dnsSuffixProblem(suffix: string): string | null {
  if (suffix === '.') return null
  const problem = subdomainProblem('A suffix of names', suffix)
  if (problem !== null) return problem
  return suffix.split('.').every((part) => part.length <= MAX_DNS_LABEL)
    ? null
    : `A suffix of names has at most ${MAX_DNS_LABEL} characters between its dots; shorten it.`
}

/** What is wrong with a label, by the rules that Kubernetes has: `[prefix/]name` and a value that may be empty. */
export function labelProblem(key: string, value: string): string | null {
  return labelKeyProblem(key) ?? labelValueProblem(value)
}

/** Whether the glob matches the whole name. `*` is any run of characters, dots too, or none; `?` is exactly one. */
export function globMatches(pattern: string, name: string): boolean {
  // Only the last `*` is ever tried again: a longer run for an earlier one could gain nothing. So the steps are at most
  // pattern × name, both short, where a regular expression may need exponentially many.
  let p = 0
  let n = 0
  let star = -1
  let resume = 0
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++
      resume = n
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++
      n++
    } else if (star !== -1) {
      p = star + 1
      n = ++resume
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** What is wrong with a pattern for node names. One that could never match a name is refused, not silently useless. */
export function globProblem(pattern: string): string | null {
  if (pattern === '') return 'A name pattern is missing; write one such as edge-*, or * for every name.'
  if (pattern.length > MAX_SUBDOMAIN) return `A name pattern has at most ${MAX_SUBDOMAIN} characters; shorten it.`
  return /^[-.a-z0-9*?]+$/.test(pattern)
    ? null
    : 'A name pattern has only lower-case letters, digits, hyphens and dots, * for any run of characters and ? for one.'
}

// As Kubernetes has it: 253 characters in all, and no limit for the parts between the dots.
function subdomainProblem(what: string, name: string): string | null {
  if (name === '') return `${what} is missing.`
  if (name.length > MAX_SUBDOMAIN) return `${what} has at most ${MAX_SUBDOMAIN} characters; shorten it.`
  if (/[A-Z]/.test(name)) return `${what} is in lower case; write its capitals small.`
  const parts = name.split('.')
  return parts.every((part) => DNS_LABEL.test(part))
    ? null
    : `${what} has only lower-case letters, digits, hyphens and dots, and each part between dots starts and ends with a letter or digit.`
}

function labelKeyProblem(key: string): string | null {
  const slash = key.indexOf('/')
  if (slash !== -1) {
    const problem = subdomainProblem('The prefix of a label key', key.slice(0, slash))
    if (problem !== null) return problem
  }
  const name = key.slice(slash + 1)
  if (name === '') return 'The name in a label key is missing; write one such as site or example.com/site.'
  if (name.length > MAX_LABEL_PART)
    return `The name in a label key has at most ${MAX_LABEL_PART} characters; shorten it.`
  return LABEL_PART.test(name)
    ? null
    : 'The name in a label key has only letters, digits, hyphens, underscores and dots, starts and ends with a letter or digit, and has at most one prefix and slash before it.'
}

function labelValueProblem(value: string): string | null {
  if (value.length > MAX_LABEL_PART) return `A label value has at most ${MAX_LABEL_PART} characters; shorten it.`
  return value === '' || LABEL_PART.test(value)
    ? null
    : 'A label value is empty, or has only letters, digits, hyphens, underscores and dots and starts and ends with a letter or digit.'
}
