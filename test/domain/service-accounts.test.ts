import t, { type Test } from 'tap'
import type { Connection } from '../../src/cluster/connection.js'
import { reviewToken } from '../../src/cluster/token-review.js'
import { ServiceAccounts } from '../../src/domain/service-accounts.js'
import type { TokenRole } from '../../src/store/schema.js'

// What the kube-apiserver's answers mean. With a real one: test/kubernetes/accounts.test.ts. Many at once: token-flood.test.ts.

const roles = new Map<string, TokenRole>([['kubeedge/cloudcore', 'cloudcore']])
const cloudcore = 'system:serviceaccount:kubeedge:cloudcore'
const caller = { role: 'cloudcore', tokenId: 'kubeedge/cloudcore', namePattern: null, limited: false }

/** A token that claims to be of somebody. */
const tokenOf = (sub: string) => ['e30', Buffer.from(JSON.stringify({ sub })).toString('base64url'), 'signed'].join('.')

interface Status {
  authenticated?: boolean
  user?: { username: string }
}

/** Who asks a kube-apiserver that answers each question with this; undefined: it does not answer. */
function asking(t: Test) {
  let answer: Status | undefined
  let questions = 0
  const connection = {
    kubernetes: {},
    api: () => ({
      createTokenReview: async () => {
        questions++
        if (answer === undefined) throw new Error('connection refused')
        return { status: answer }
      },
    }),
  } as unknown as Connection
  const troubles: Error[] = []
  const accounts = new ServiceAccounts((token) => reviewToken(connection, token), roles, {
    met: (_what, error) => troubles.push(error),
    over: () => {},
  })
  const began = performance.now()
  return {
    answers: (status: Status | undefined) => {
      answer = status
    },
    identify: (token: string) => accounts.identify(token, token, '10.244.0.7'),
    /** Lets time pass, from the beginning on. */
    after: (ms: number) => t.intercept(performance, 'now', { value: () => began + ms }),
    troubles,
    get questions() {
      return questions
    },
  }
}

const authenticated = (username: string): Status => ({ authenticated: true, user: { username } })

t.test('only whom the kube-apiserver knows as one of those with a role gets in', async (t) => {
  for (const [status, expected] of [
    [authenticated(cloudcore), caller],
    [authenticated('system:serviceaccount:kubeedge:stranger'), null],
    [authenticated('system:serviceaccount:other:cloudcore'), null],
    // As the kube-apiserver names somebody whom another issuer calls so.
    [authenticated(`oidc:${cloudcore}`), null],
    [authenticated(`${cloudcore}:x`), null],
    [{ authenticated: false, user: { username: cloudcore } }, null],
    [{ user: { username: cloudcore } }, null],
    [{ authenticated: true }, null],
    [{}, null],
  ] as const) {
    const { answers, identify } = asking(t)
    answers(status)
    t.same(await identify(tokenOf(cloudcore)), expected, JSON.stringify(status))
  }
})

t.test('what does not claim a role is nobody, and the kube-apiserver is not asked', async (t) => {
  const asked = asking(t)
  asked.answers(authenticated(cloudcore))
  const [head, claims] = tokenOf(cloudcore).split('.') as [string, string]
  for (const token of [
    'secret',
    head,
    `${head}.${claims}.signed.more`,
    `${head}.e30.signed`,
    `${head}.%.signed`,
    tokenOf('system:serviceaccount:kubeedge:stranger'),
    tokenOf(`oidc:${cloudcore}`),
  ]) {
    t.equal(await asked.identify(token), null, token)
  }
  t.equal(asked.questions, 0)
})

t.test('an answer counts for ten seconds', async (t) => {
  const asked = asking(t)
  asked.answers(authenticated(cloudcore))
  const token = tokenOf(cloudcore)
  await asked.identify(token)
  asked.answers({})
  asked.after(9_000)
  t.same(await asked.identify(token), caller)
  t.equal(asked.questions, 1)
  asked.after(11_000)
  t.equal(await asked.identify(token), null, 'who is deleted meanwhile is nobody then')
})

t.test('while the kube-apiserver is away, who was in stays in for a minute, and not longer', async (t) => {
  const asked = asking(t)
  asked.answers(authenticated(cloudcore))
  const token = tokenOf(cloudcore)
  await asked.identify(token)
  asked.answers(undefined)
  asked.after(50_000)
  t.same(await asked.identify(token), caller)
  t.equal(asked.troubles.length, 1)
  asked.after(61_000)
  await t.rejects(asked.identify(token), { code: 'cluster_unavailable' })
})

t.test('while the kube-apiserver is away, who was nobody does not get in', async (t) => {
  const asked = asking(t)
  asked.answers({})
  const token = tokenOf(cloudcore)
  t.equal(await asked.identify(token), null)
  asked.answers(undefined)
  asked.after(11_000)
  await t.rejects(asked.identify(token), { code: 'cluster_unavailable' })
})
