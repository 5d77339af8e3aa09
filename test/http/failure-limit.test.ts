import t from 'tap'
import { FailureLimit } from '../../src/http/failure-limit.js'

/** Whether the source is refused after so many failures of it. */
function isRefused(limit: FailureLimit, source: string, failures = 1): boolean {
  return Array.from({ length: failures }, () => limit.count(source)).some((problem) => problem !== undefined)
}

t.test('who fails too often is refused, and nobody else', async (t) => {
  const limit = new FailureLimit()
  t.notOk(isRefused(limit, '203.0.113.7', 120))
  t.ok(isRefused(limit, '203.0.113.7'))
  t.notOk(isRefused(limit, '203.0.113.8'))
})

t.test('a /64 is one source, however its addresses are written', async (t) => {
  const limit = new FailureLimit()
  for (let host = 1; host <= 120; host++) limit.count(`2001:db8::${host.toString(16)}`)
  t.ok(isRefused(limit, '2001:db8:0:0:ffff:1:2:3'))
  t.notOk(isRefused(limit, '2001:db8:0:1::1'))
  t.notOk(isRefused(limit, '::1'))
})

t.test('an IPv4 address is the same source where the socket shows it as IPv6', async (t) => {
  const limit = new FailureLimit()
  t.notOk(isRefused(limit, '::ffff:203.0.113.7', 120))
  t.ok(isRefused(limit, '203.0.113.7'))
  t.notOk(isRefused(limit, '::ffff:203.0.113.8'))
})

t.test('many sources make one forgotten at a time, and not all', async (t) => {
  const limit = new FailureLimit()
  limit.count('198.51.100.1')
  t.notOk(isRefused(limit, '203.0.113.7', 120))
  for (let number = 0; number < 9_999; number++) limit.count(`10.0.${number >> 8}.${number & 255}`)
  t.ok(isRefused(limit, '203.0.113.7'))
})
