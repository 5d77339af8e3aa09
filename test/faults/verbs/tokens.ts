import type { Life, Token } from '../life.js'
import { refused, type Verb } from '../step.js'

// A life's own token for joining; it is used in allocations.ts.

export function tokenOf({ name }: Life, { id, maxUses, uses }: Token) {
  return { id, role: 'join', namePattern: `${name}-*`, maxUses, uses }
}

const make: Verb = (life) => {
  if (life.token && life.token.deletedAt === null) return undefined
  const wish = { role: 'join', namePattern: `${life.name}-*`, maxUses: 2 }
  return {
    ask: { method: 'POST', path: '/v1/tokens', body: wish },
    verify: {
      answer: { status: 201, body: { ...wish, uses: 0 } },
      leaves: ['token.created'],
      // Nobody has the secret of one that was made without an answer.
      leavesEachTime: true,
    },
    remember({ body: { id, secret } }) {
      life.token = { id, secret, maxUses: 2, uses: 0, made: new Set(), deletedAt: null }
    },
  }
}

const read: Verb = (life) => {
  const { token } = life
  if (!token) return undefined
  const answer =
    token.deletedAt === null ? { status: 200, body: tokenOf(life, token) } : refused(404, 'token_not_found')
  return { ask: { method: 'GET', path: `/v1/tokens/${token.id}` }, verify: { answer } }
}

const revoke: Verb = ({ token }) => {
  if (!token || token.deletedAt !== null) return undefined
  return {
    ask: { method: 'DELETE', path: `/v1/tokens/${token.id}` },
    verify: { answer: { status: 204 }, again: [refused(404, 'token_not_found')], leaves: ['token.deleted'] },
    remember() {
      token.deletedAt = Date.now()
    },
  }
}

/** A second after it was revoked it is dead on every replica. Too many who try a dead one are slowed down. */
const useRevoked: Verb = ({ nodes, token }) => {
  if (!token?.deletedAt || Date.now() - token.deletedAt < 1_000) return undefined
  return {
    ask: { method: 'POST', path: '/v1/allocations', body: { nodeName: nodes[0]!.name }, token: token.secret },
    verify: { answer: { status: (status: unknown) => status === 401 || status === 429 } },
  }
}

export const tokenVerbs: Record<string, Verb> = {
  'make a token': make,
  'read a token': read,
  'revoke a token': revoke,
  'use a revoked token': useRevoked,
}
