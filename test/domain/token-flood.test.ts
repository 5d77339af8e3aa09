import type { FastifyBaseLogger } from 'fastify'
import t, { type Test } from 'tap'
import { CannotAsk } from '../../src/cluster/token-review.js'
import { Problem } from '../../src/core/errors.js'
import type { Caller } from '../../src/domain/context.js'
import { ServiceAccounts } from '../../src/domain/service-accounts.js'
import { Troubles } from '../../src/process/troubles.js'

const CLOUDCORE = 'system:serviceaccount:kubeedge:cloudcore'
const [INSIDE, OUTSIDE] = ['10.244.0.7', '203.0.113.7']

/** A token that claims to be cloudcore's. */
function tokenOf(signature: string): string {
  return ['head', Buffer.from(JSON.stringify({ sub: CLOUDCORE })).toString('base64url'), signature].join('.')
}

/** The memory, before a kube-apiserver that answers when it is told to, and finds those good whose signature begins so. */
function remembering(t: Test) {
  const asked: string[] = []
  const lines: string[] = []
  const held: (() => void)[] = []
  let [underWay, most, holding, away, ahead] = [0, 0, false, false, 0]
  const now = performance.now.bind(performance)
  performance.now = () => now() + ahead
  t.teardown(() => {
    performance.now = now
  })
  const accounts = new ServiceAccounts(
    async (token) => {
      const [, , signature = ''] = token.split('.')
      asked.push(signature)
      most = Math.max(most, ++underWay)
      await (holding ? new Promise<void>((resolve) => held.push(resolve)) : new Promise(setImmediate))
      underWay--
      if (away) throw new CannotAsk('connect ECONNREFUSED')
      return signature.startsWith('good') ? CLOUDCORE : null
    },
    new Map([['kubeedge/cloudcore', 'cloudcore']]),
    new Troubles({
      info: (text: string) => lines.push(text),
      warn: (_fields: object, text: string) => lines.push(text),
    } as unknown as FastifyBaseLogger),
  )
  return {
    asked,
    lines,
    most: () => most,
    /** The caller, null, or the code of the problem. */
    identify: (signature: string, ip = OUTSIDE): Promise<Caller | null | string> =>
      accounts.identify(tokenOf(signature), signature, ip).catch((error) => {
        if (error instanceof Problem) return error.code
        throw error
      }),
    pass: (ms: number) => {
      ahead += ms
    },
    hold: () => {
      holding = true
    },
    release: () => {
      holding = false
      for (const answer of held.splice(0)) answer()
    },
    goAway: (is: boolean) => {
      away = is
    },
  }
}

const isCloudcore = { role: 'cloudcore', tokenId: 'kubeedge/cloudcore' }
const forged = (count: number) => Array.from({ length: count }, (_, i) => `forged-${i}`)

t.test('of many tokens that are not known a few are asked about at once, and some in a second', async (t) => {
  const { identify, asked, most } = remembering(t)
  const began = performance.now()
  const answers = await Promise.all(forged(500).map((signature) => identify(signature)))
  const seconds = (performance.now() - began) / 1_000
  t.ok(most() <= 4, `${most()} at once`)
  t.ok(asked.length >= 10 && asked.length <= 10 + 10 * seconds, `${asked.length} in ${seconds} s`)
  t.equal(answers.filter((answer) => answer === null).length, asked.length, 'those are nobody')
  t.equal(
    answers.filter((answer) => answer === 'cluster_unavailable').length,
    500 - asked.length,
    'and nobody is refused who may be somebody: the others are told to come again',
  )
})

t.test('a token that was good is asked about again at once, however many wait', async (t) => {
  const { identify, pass, hold, release } = remembering(t)
  t.match(await identify('good'), isCloudcore)
  hold()
  const others = Promise.all(forged(100).map((signature) => identify(signature)))
  pass(10_001)
  const again = identify('good')
  release()
  t.match(await again, isCloudcore)
  await others
})

t.test('a token that is new has its turn before the others of a source that sends many', async (t) => {
  const { identify, asked } = remembering(t)
  const others = Promise.all(forged(500).map((signature) => identify(signature)))
  t.match(await identify('good', INSIDE), isCloudcore)
  t.ok(asked.length <= 15, `it was number ${asked.length}`)
  await others
})

t.test('what is nobody’s takes no place of what is good', async (t) => {
  const { identify, asked, pass, hold, release } = remembering(t)
  await identify('good')
  for (const signature of forged(1_500)) {
    // The time that has others come to their turn.
    pass(100)
    t.equal(await identify(signature), null)
  }
  hold()
  const others = Promise.all(forged(100).map((signature) => identify(`more-${signature}`)))
  const again = identify('good')
  t.equal(asked.at(-1), 'good', 'it is known as one that was good, and asked about at once')
  release()
  t.match(await again, isCloudcore)
  await others
})

t.test('of what is nobody’s the oldest is forgotten', async (t) => {
  const { identify, asked, pass } = remembering(t)
  const last = forged(1_050)
  for (const signature of last) {
    pass(100)
    await identify(signature)
  }
  const before = asked.length
  for (const signature of last.slice(-90)) t.equal(await identify(signature), null)
  t.equal(asked.length, before, 'an answer counts for ten seconds')
})

t.test('who asks the same at once shares one question', async (t) => {
  const { identify, asked } = remembering(t)
  const answers = await Promise.all(Array.from({ length: 50 }, () => identify('good')))
  for (const answer of answers) t.match(answer, isCloudcore)
  t.same(asked, ['good'])
})

t.test('trouble is told once, and once more when it is over', async (t) => {
  const { identify, lines, goAway, pass } = remembering(t)
  goAway(true)
  for (const signature of forged(8)) t.equal(await identify(signature), 'cluster_unavailable')
  goAway(false)
  t.match(await identify('good'), isCloudcore)
  const away = 'the kube-apiserver cannot be asked whose a token is'
  t.same(lines.splice(0), [away, `${away}: over`])
  pass(60_000)
  await Promise.all(forged(500).map((signature) => identify(signature)))
  const crowd = 'more tokens that are not known come than the kube-apiserver is asked about'
  t.same(lines, [crowd, `${crowd}: over`])
})
