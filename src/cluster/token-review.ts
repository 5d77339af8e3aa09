import { type Connection, wordsOf } from './connection.js'

/** The kube-apiserver did not say who a token is. */
export class CannotAsk extends Error {}

/**
 * Whose the token is, as the kube-apiserver knows them: `system:serviceaccount:<namespace>:<name>`; null: nobody's.
 * @throws CannotAsk
 */
export async function reviewToken(connection: Connection, token: string): Promise<string | null> {
  try {
    const { status } = await connection
      .api(connection.kubernetes.AuthenticationV1Api, { patience: 3_000 })
      .createTokenReview({
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
      })
    return (status?.authenticated === true && status.user?.username) || null
  } catch (error) {
    throw new CannotAsk(wordsOf(error))
  }
}
