import t from 'tap'
import type { Connection } from '../../src/cluster/connection.js'
import { reviewToken } from '../../src/cluster/token-review.js'
import { ServiceAccounts } from '../../src/domain/service-accounts.js'
import type { TokenRole } from '../../src/store/schema.js'

// Whom the kube-apiserver's answers let in. With a real one: test/kubernetes/accounts.test.ts.

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
function asking() {
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
  const accounts = new ServiceAccounts((token) => reviewToken(connection, token), roles, { met() {}, over() {} })
  return {
    answers: (status: Status | undefined) => {
      answer = status
    },
    identify: (token: string) => accounts.identify(token, token, '127.0.0.1'),
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
    const { answers, identify } = asking()
    answers(status)
    t.same(await identify(tokenOf(cloudcore)), expected, JSON.stringify(status))
  }
})

t.test('what does not claim a role is nobody, and the kube-apiserver is not asked', async (t) => {
  const asked = asking()
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
