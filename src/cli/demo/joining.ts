import { canonicalAddress } from '../../core/ip.js'
import type { Answer } from './client.js'
import { type DemoNode, joinBody, type Run, timed } from './run.js'
import { count, integer } from './screen.js'

/** All nodes of all sites ask for an address at the same time. */
export async function everybodyJoins(run: Run): Promise<void> {
  const { screen, options, client, nodes } = run
  const { sites, nodesPerSite } = options
  screen.step(`All ${integer(nodes.length)} nodes join at once.`)
  screen.say(
    `${sites} sites with ${count(nodesPerSite, 'node')} each, private networks that nobody planned together: every site ` +
      `begins at ${nodes[0]!.displayIp}. CloudCore keys tunnels by address: with these it would hold ` +
      `${integer(nodesPerSite)} of ${integer(nodes.length)}, and the other nodes would lose their metrics (with older ` +
      'KubeEdge logs and exec too) without a word.',
  )
  let created = 0
  const timing = await timed(run, 'join', nodes, async (node) => {
    const answer = await client.expect([200, 201], 'POST', '/v1/allocations', {
      token: run.tokens.join.secret,
      body: joinBody(run, node),
    })
    // A repeat after a lost answer finds the address that the first attempt got.
    if (answer.status === 201 || answer.retried) created++
    remember(node, answer)
    return answer
  })
  const distinct = new Set(nodes.map(({ uniqueIp }) => uniqueIp)).size
  screen.check(
    created === nodes.length && distinct === nodes.length,
    `${count(nodes.length, 'node')} joined in ${timing.seconds} s over ${options.connections} connections, and hold ` +
      `${integer(distinct)} different unique IPs.`,
    `${integer(created)} of ${count(nodes.length, 'node')} got a new address, ${integer(distinct)} of them different`,
  )
}

/** A join script repeats its request when an answer is lost. */
export async function someAskAgain(run: Run): Promise<void> {
  const { screen, client, nodes } = run
  const site = nodes[0]!.site
  const again = nodes.filter((node) => node.site === site)
  screen.step(`All of ${site} ask once more, as join scripts do when an answer is lost.`)
  let same = 0
  await client.forEach(again, async (node) => {
    const { status, body } = await client.expect([200, 201], 'POST', '/v1/allocations', {
      token: run.tokens.join.secret,
      body: joinBody(run, node),
    })
    if (status === 200 && body.uniqueIp === node.uniqueIp && body.sequence === node.sequence) same++
  })
  screen.check(
    same === again.length,
    `${count(same, 'time')} the same address as before: asking again is always safe.`,
    `only ${same} of ${count(again.length, 'node')} got the address that it holds`,
  )
}

/** CloudCore registers every node under its unique IP, then looks unique IPs up by node name. */
export async function cloudcoreLooksUp(run: Run): Promise<void> {
  const { screen, client, nodes } = run
  screen.step('CloudCore registers all nodes, and looks up their unique IPs by name.')
  let wrong = 0
  await timed(run, 'registration', nodes, async (node) => {
    const answer = await register(run, node)
    if (answer.body.uniqueIp !== node.uniqueIp) wrong++
    return answer
  })
  const lookUps = await timed(run, 'look-up', nodes, async (node) => {
    const answer = await client.expect([200], 'GET', `/v1/nodes/${node.name}/unique-ip`, {
      token: run.tokens.cloudcore.secret,
    })
    if (answer.body.uniqueIp !== node.uniqueIp || answer.body.sequence !== node.sequence) wrong++
    return answer
  })
  screen.check(
    wrong === 0,
    `Each registration and each look-up answered the address that the node got when it joined: that is its InternalIP ` +
      `in the cluster. ${integer(lookUps.count)} look-ups in ${lookUps.seconds} s.`,
    `${count(wrong, 'answer')} to CloudCore did not carry the address that the node got when it joined`,
  )
}

/** As cloudcore does when a node comes up: registers it with the address that it reports. */
export function register(run: Run, { name, uniqueIp }: DemoNode): Promise<Answer> {
  return run.client.expect([200], 'POST', `/v1/nodes/${name}/registration`, {
    token: run.tokens.cloudcore.secret,
    body: { reportedIp: uniqueIp },
  })
}

/** A console shows people the addresses that they know, and must never see the others. */
export async function consoleSearches(run: Run): Promise<void> {
  const { screen, nodes, options } = run
  const { displayIp } = nodes[0]!
  screen.step(`The console searches for ${displayIp}, and lists all nodes.`)
  const seen: Answer[] = []
  const found = await searchByDisplayIp(run, displayIp, seen)
  screen.check(
    found.length === options.sites,
    `${count(found.length, 'node')} have ${displayIp}, one in each site, and people find all of them.`,
    `${count(found.length, 'node')} were found, and ${options.sites} have it`,
  )
  const all = await northbound(run, `search=${run.prefix}site-`, seen)
  screen.check(
    all.length === nodes.length && shownRight(all, nodes),
    `${count(all.length, 'node')} are listed, each with its display IP as internalIp.`,
    `${count(all.length, 'node')} of ${integer(nodes.length)} are listed, or not each with its display IP`,
  )
  // A hit for a unique IP would tell that it is one; an IP in a list would be seen in a browser.
  const secret = secretAddresses(nodes)
  const probes = [...secret].slice(0, 20)
  let hits = 0
  for (const probe of probes) hits += (await northbound(run, `search=${encodeURIComponent(probe)}`, seen)).length
  const leaks = seen.reduce((sum, answer) => sum + leaksIn(answer, secret), 0)
  const bytes = seen.reduce((sum, { text }) => sum + text.length, 0)
  screen.check(
    leaks === 0 && hits === 0,
    `No unique IP is in any of these ${seen.length} answers (${integer(bytes)} bytes), and a search for one finds nothing.`,
    `the console's side saw ${count(leaks, 'unique IP')}, and searching for one hit ${count(hits, 'time')}`,
  )
}

interface NorthboundNode {
  name: string
  internalIp: string | null
}

/** The nodes of the run that the console finds under a display IP. */
export async function searchByDisplayIp(run: Run, displayIp: string, seen: Answer[] = []): Promise<NorthboundNode[]> {
  const found = await northbound(run, `displayIp=${displayIp}`, seen)
  return found.filter(({ name }) => name.startsWith(`${run.prefix}site-`))
}

function northbound(run: Run, query: string, seen: Answer[]): Promise<NorthboundNode[]> {
  const token = run.tokens.northbound.secret
  return run.client.list(`/northbound/v1/nodes?${query}`, { token }, (answer) => seen.push(answer))
}

function shownRight(shown: readonly NorthboundNode[], nodes: readonly DemoNode[]): boolean {
  const byName = new Map(nodes.map(({ name, displayIp }) => [name, displayIp]))
  return shown.every(({ name, internalIp }) => byName.get(name) === internalIp)
}

/** Unique IPs that are nobody's display IP: a pool may lie where the private addresses do, and then both are seen. */
function secretAddresses(nodes: readonly DemoNode[]): Set<string> {
  const shown = new Set(nodes.map(({ displayIp }) => displayIp))
  return new Set(nodes.map(({ uniqueIp }) => uniqueIp).filter((address) => !shown.has(address)))
}

/** How many secret addresses an answer carries, in whatever text they stand. */
function leaksIn({ text, headers }: Answer, secret: ReadonlySet<string>): number {
  const all = `${text} ${JSON.stringify(headers)}`
  const four = all.match(/\d+(?:\.\d+){3}/g) ?? []
  // A colon that ends a sentence is no part of the address before it.
  const six = (all.match(/[\da-f]*:[\da-f:]+/gi) ?? []).map((word) => word.replace(/([^:]):$/, '$1'))
  return [...four, ...six].filter((word) => secret.has(canonical(word))).length
}

function canonical(word: string): string {
  try {
    return canonicalAddress(word)
  } catch {
    return ''
  }
}

/** Keeps what the service answered. */
export function remember(node: DemoNode, { body }: Answer): void {
  node.uniqueIp = body.uniqueIp
  node.sequence = body.sequence
}
