import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parseCidr } from '../../core/ip.js'
import { cidrRefusal } from '../../core/pool.js'

/** What a run of the demo is asked to do. */
export interface DemoOptions {
  /** A running service; undefined: a throw-away one. */
  server: { url: URL; token: string } | undefined
  /** The pool's CIDR. undefined: the pools there are, or DEFAULT_CIDR on a throw-away service. */
  cidr: string | undefined
  sites: number
  nodesPerSite: number
  connections: number
  json: boolean
  keepNodes: boolean
}

export const DEFAULT_CIDR = '10.213.0.0/16'

/** The command was used wrongly: every fault, a line each. */
export class UsageError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'))
  }
}

export const demoHelp = `Usage: edge-ipam demo [options]

Shows edge-ipam at work: sites that all use the same private addresses join at once over HTTP, are looked up as
cloudcore does it, searched as a console does it, moved, released, kept in quarantine and taken back; at the end,
whether the sums add up.

Without --server it starts a throw-away service on an embedded database, and removes both at the end.
With --server it takes its nodes and tokens away again; released addresses rest in quarantine, the audit trail stays.

Options:
  --sites <n>            sites, 2 to 1000 (default 40)
  --nodes-per-site <n>   nodes in each of them, 1 to 10000 (default 50)
  --connections <n>      connections at a time, 1 to 512 (default 64)
  --cidr <cidr>          the pool (default ${DEFAULT_CIDR}); with --server a pool of its own for the run, which has to
                         overlap no other; without it the run uses the pools that the service has
  --server <url>         run against this service; its admin token comes from EDGE_IPAM_TOKEN, or from the file that
                         EDGE_IPAM_TOKEN_FILE names
  --keep-nodes           with --server: leave the nodes there, to look at them
  --output <text|json>   json prints one result for programs and nothing else (default text)
  -h, --help             this text

Exit codes: 0 everything added up, 1 something did not, 2 wrong usage.
`

/**
 * Reads the command line.
 * @returns 'help' when that is asked for
 * @throws UsageError
 */
export function readOptions(argv: string[], env: NodeJS.ProcessEnv): DemoOptions | 'help' {
  const values = parsed(argv)
  if (values.help) return 'help'
  const problems: string[] = []
  const whole = (name: 'sites' | 'nodes-per-site' | 'connections', fallback: number, least: number, most: number) => {
    const text = values[name]
    if (text === undefined) return fallback
    if (/^\d{1,6}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text)
    problems.push(`--${name} ${text}: has to be a whole number from ${least} to ${most}`)
    return fallback
  }
  const options: DemoOptions = {
    server: undefined,
    cidr: values.cidr,
    sites: whole('sites', 40, 2, 1000),
    nodesPerSite: whole('nodes-per-site', 50, 1, 10_000),
    connections: whole('connections', 64, 1, 512),
    json: values.output === 'json',
    keepNodes: values['keep-nodes'] === true,
  }
  if (values.output !== undefined && !['text', 'json'].includes(values.output)) {
    problems.push(`--output ${values.output}: has to be text or json`)
  }
  const cidrProblem = values.cidr === undefined ? null : problemOfCidr(values.cidr)
  if (cidrProblem !== null) problems.push(`--cidr ${values.cidr}: ${cidrProblem}`)
  if (values.server !== undefined) {
    const url = urlOf(values.server)
    if (!url) problems.push('--server: has to be a URL such as http://127.0.0.1:8080, without user, query or fragment')
    const token = readToken(env, problems)
    if (url && token !== undefined) options.server = { url, token }
  } else if (options.keepNodes) {
    problems.push('--keep-nodes: a throw-away service keeps nothing; give --server too')
  }
  if (problems.length > 0) throw new UsageError(problems)
  return options
}

function parsed(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      options: {
        server: { type: 'string' },
        cidr: { type: 'string' },
        sites: { type: 'string' },
        'nodes-per-site': { type: 'string' },
        connections: { type: 'string' },
        output: { type: 'string' },
        'keep-nodes': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError([(error as Error).message])
  }
}

function problemOfCidr(text: string): string | null {
  try {
    return cidrRefusal(parseCidr(text))
  } catch (error) {
    return (error as Error).message
  }
}

function urlOf(text: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !['http:', 'https:'].includes(url.protocol)) return null
  return url.username || url.password || url.search || url.hash ? null : url
}

function readToken(env: NodeJS.ProcessEnv, problems: string[]): string | undefined {
  const { EDGE_IPAM_TOKEN: direct, EDGE_IPAM_TOKEN_FILE: file } = env
  if (direct && file) {
    problems.push('EDGE_IPAM_TOKEN and EDGE_IPAM_TOKEN_FILE: only one of them may be set')
    return undefined
  }
  let token = direct
  if (file) {
    try {
      token = readFileSync(file, 'utf8').trim()
    } catch (error) {
      problems.push(`EDGE_IPAM_TOKEN_FILE=${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`)
      return undefined
    }
  }
  if (!token) {
    problems.push('--server: the admin token is needed, in EDGE_IPAM_TOKEN or in the file of EDGE_IPAM_TOKEN_FILE')
    return undefined
  }
  if (/[^\x21-\x7e]/.test(token)) {
    problems.push('EDGE_IPAM_TOKEN: a token has no white space and only ASCII characters')
    return undefined
  }
  return token
}
