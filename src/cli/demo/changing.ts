import { type Answer, DemoError, describe } from './client.js'
import { register, remember, searchByDisplayIp } from './joining.js'
import { type DemoNode, joinBody, listPools, privateAddress, type Run } from './run.js'
import { integer } from './screen.js'

/** A device is carried elsewhere and gets another private address there; in the cluster nothing changes. */
export async function deviceMoves(run: Run): Promise<void> {
  const { screen, client, nodes, options } = run
  const node = nodes[0]!
  const old = node.displayIp
  // Beyond what any node of the run has.
  node.displayIp = privateAddress(245 * 76 + options.nodesPerSite)
  screen.step(`A device moves: ${node.name} has ${node.displayIp} from now on.`)
  const { status, body } = await client.expect([200, 201], 'POST', '/v1/allocations', {
    token: run.tokens.join.secret,
    body: joinBody(run, node),
  })
  screen.check(
    status === 200 && body.uniqueIp === node.uniqueIp && body.sequence === node.sequence,
    `It keeps its unique IP ${node.uniqueIp}.`,
    `it had ${node.uniqueIp}, and was answered ${status} with ${body.uniqueIp}`,
  )
  const here = await searchByDisplayIp(run, node.displayIp)
  const there = await searchByDisplayIp(run, old)
  screen.check(
    here.length === 1 && here[0]!.name === node.name && there.length === options.sites - 1,
    `The console finds it under ${node.displayIp}, and ${there.length} others under ${old}.`,
    `the console finds ${here.length} under ${node.displayIp} and ${there.length} under ${old}`,
  )
  node.note = `moved, had ${old}`
}

/** The least quarantine (s) that still holds when the next steps look. */
const LEAST_QUARANTINE = 5

/** A node goes, its address rests, nobody else gets it, and the node takes it back. */
export async function nodeLeavesAndReturns(run: Run): Promise<void> {
  const { screen, client } = run
  const node = run.nodes[1]!
  const address = node.uniqueIp
  const released = `"${node.sequence}"`
  const path = `/v1/nodes/${node.name}/allocation`

  screen.step(`A node leaves: ${node.name} gives back ${address}.`)
  const { answer: gone, resisted } = await release(run, path, released)
  screen.say(
    resisted
      ? 'While it is registered a plain release is refused (409 node_still_registered), so that nobody does it by accident.'
      : 'The service sees the cluster, and that it has no such node (any more).',
  )
  const lookUp = await client.call('GET', `/v1/nodes/${node.name}/unique-ip`, { token: run.tokens.cloudcore.secret })
  const pool = (await listPools(run)).find(({ name }) => name === gone.body.pool)!
  screen.check(
    gone.body.state === 'quarantined' && lookUp.status === 404,
    `${resisted ? 'Forced, it' : 'It'} is released, and CloudCore finds no address for the node any more.`,
    `after the release its state is ${gone.body.state}, and CloudCore was answered ${lookUp.status}`,
  )

  screen.step('The released address rests in quarantine: nobody else gets it.')
  const newcomer = newcomerOf(node)
  if (pool.quarantineSeconds >= LEAST_QUARANTINE) {
    screen.say(
      `Caches and stale sessions still know ${address}. Pool ${pool.name} lets it rest ${integer(pool.quarantineSeconds)} s, ` +
        `until ${gone.body.quarantinedUntil}, and counts it apart: ${integer(pool.utilization.quarantined)} in quarantine, ` +
        `${integer(pool.utilization.allocated)} allocated.`,
    )
    screen.check(pool.utilization.quarantined >= 1n, 'The pool shows it as quarantined, and not as free.')
    const refused = await client.call('POST', '/v1/allocations', {
      token: run.tokens.join.secret,
      body: { ...joinBody(run, newcomer), address },
    })
    screen.check(
      refused.status === 409 && refused.body?.code === 'address_quarantined',
      `${newcomer.name} asks for exactly this address and is refused (409 address_quarantined).`,
      `${newcomer.name} asked for it and was answered ${refused.status} ${refused.body?.code ?? ''}`,
    )
  } else {
    screen.say(`Pool ${pool.name} has a quarantine of ${pool.quarantineSeconds} s: too short to be looked at here.`)
  }
  const other = await client.expect([200, 201], 'POST', '/v1/allocations', {
    token: run.tokens.join.secret,
    body: joinBody(run, newcomer),
  })
  remember(newcomer, other)
  run.nodes.push(newcomer)
  await register(run, newcomer)
  screen.check(
    other.body.uniqueIp !== address || pool.quarantineSeconds < LEAST_QUARANTINE,
    `Asking for any address, it gets another one: ${newcomer.uniqueIp}.`,
    `${newcomer.name} was given ${address} out of quarantine`,
  )

  screen.step(`The node returns: ${node.name} joins again.`)
  const before = node.sequence
  const back = await client.expect([200, 201], 'POST', '/v1/allocations', {
    token: run.tokens.join.secret,
    body: joinBody(run, node),
  })
  remember(node, back)
  await register(run, node)
  node.note = 'released, came back'
  screen.check(
    node.uniqueIp === address && node.sequence > before,
    `It has its own address again, ${address}, out of quarantine and as a new allocation (${node.sequence} after ${before}).`,
    `it had ${address}, and came back to ${node.uniqueIp} with sequence ${node.sequence} after ${before}`,
  )
  const late = await client.call('DELETE', `${path}?force=true`, { ifMatch: released })
  screen.check(
    late.status === 412,
    'A late repeat of the old release names the old allocation, and changes nothing (412).',
    `a late repeat of the old release was answered ${late.status}`,
  )
}

/** Plainly first; a service without a view of the cluster refuses that for what is registered. */
async function release({ client }: Run, path: string, ifMatch: string): Promise<{ answer: Answer; resisted: boolean }> {
  const plain = await client.call('DELETE', path, { ifMatch })
  if (plain.status === 200) return { answer: plain, resisted: false }
  if (plain.body?.code !== 'node_still_registered') throw new DemoError(`The release was answered ${describe(plain)}`)
  return { answer: await client.expect([200], 'DELETE', `${path}?force=true`, { ifMatch }), resisted: true }
}

function newcomerOf({ site, name, displayIp }: DemoNode): DemoNode {
  const newcomer = name.replace(/node-\d+$/, 'newcomer')
  return { site, name: newcomer, displayIp, uniqueIp: '', sequence: 0, note: 'newcomer' }
}
