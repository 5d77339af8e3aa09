/**
 * What happens inside Redis, each step in one script so that nothing comes between reading and writing.
 *
 * For each key there are two things: the lease (a string, the owner's name, which expires) and the queue of those who
 * wait for it (a sorted set; the score is the moment at which the wish lapses, so it is order and expiry in one, and
 * nobody has to tidy up after a process that died while it waited). Owners are told things on a channel of their own:
 * `want:<key>` while they hold it, `free:<key>` when it is their turn.
 *
 * Two keys in one script: this is for a single Redis or a primary with replicas, not for Redis Cluster.
 */

/** Where the lease of a key lies. */
export const leaseKey = (key: string): string => `edge-ipam:lock:${key}`
/** Where those who wait for a key stand in line. */
export const queueKey = (key: string): string => `edge-ipam:queue:${key}`
/** The channel on which one owner is told things. */
export const ownerChannel = (owner: string): string => `edge-ipam:to:${owner}`

// In microseconds: a handover takes less than a millisecond, and the line must not be in order of names.
const findFirstInLine = `
  local clock = redis.call('time')
  local now = clock[1] * 1000000 + clock[2]
  local lapsed = string.format('%.0f', now)
  local first = redis.call('zrangebyscore', KEYS[2], '(' .. lapsed, '+inf', 'limit', 0, 1)[1]
`

/**
 * Takes the lease, or stands in line for it and tells the holder.
 * ARGV: owner, key, lease in ms, how long the wish stays in ms (a fraction counts).
 * Replies 'ours' (was held already), 'taken' or 'wait'; then, for the first two, 1 if others are waiting,
 * and for 'wait' the rest of the holder's lease in ms.
 * The first command that writes is one that needs memory: Redis lets a script that has written go on although it is
 * full, and the operator's limit is to be kept.
 */
const take = `
  local owner, key, lease, patience = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
  local holder = redis.call('get', KEYS[1])
  if holder == owner then
    redis.call('pexpire', KEYS[1], lease)
    return {'ours', redis.call('exists', KEYS[2])}
  end
  ${findFirstInLine}
  if not holder and (not first or first == owner) then
    redis.call('set', KEYS[1], owner, 'px', lease)
    redis.call('zrem', KEYS[2], owner)
    redis.call('zremrangebyscore', KEYS[2], '-inf', lapsed)
    return {'taken', redis.call('exists', KEYS[2])}
  end
  redis.call('zadd', KEYS[2], string.format('%.0f', now + patience * 1000), owner)
  redis.call('zremrangebyscore', KEYS[2], '-inf', lapsed)
  if redis.call('pttl', KEYS[2]) < patience then
    redis.call('pexpire', KEYS[2], math.ceil(patience))
  end
  if holder then
    redis.call('publish', 'edge-ipam:to:' .. holder, 'want:' .. key)
  else
    redis.call('publish', 'edge-ipam:to:' .. first, 'free:' .. key)
  end
  return {'wait', math.max(redis.call('pttl', KEYS[1]), 1)}
`

/**
 * Gives back whatever the owner has of the key, the lease or a place in the line, and tells the next one if it is free.
 * ARGV: owner, key.
 */
const leave = `
  local owner, key = ARGV[1], ARGV[2]
  redis.call('zrem', KEYS[2], owner)
  local holder = redis.call('get', KEYS[1])
  if holder and holder ~= owner then
    return 0
  end
  redis.call('del', KEYS[1])
  ${findFirstInLine}
  if first then
    redis.call('publish', 'edge-ipam:to:' .. first, 'free:' .. key)
  end
  return 1
`

/**
 * Makes a lease that is still the owner's last longer. ARGV: owner, lease in ms.
 * Replies whether it was the owner's, and whether others are waiting.
 */
const renew = `
  if redis.call('get', KEYS[1]) ~= ARGV[1] then
    return {0, 0}
  end
  redis.call('pexpire', KEYS[1], ARGV[2])
  return {1, redis.call('exists', KEYS[2])}
`

/** In the shape that ioredis wants: it sends the hash, and the text only where Redis does not know it. */
export const scripts = {
  leaseTake: { lua: take, numberOfKeys: 2 },
  leaseLeave: { lua: leave, numberOfKeys: 2 },
  leaseRenew: { lua: renew, numberOfKeys: 2 },
}

/** What ioredis makes of `scripts`. */
export interface ScriptCommands {
  leaseTake(
    lease: string,
    queue: string,
    owner: string,
    key: string,
    leaseMs: number,
    patienceMs: number,
  ): Promise<['ours' | 'taken' | 'wait', number]>
  leaseLeave(lease: string, queue: string, owner: string, key: string): Promise<number>
  leaseRenew(lease: string, queue: string, owner: string, leaseMs: number): Promise<[number, number]>
}
