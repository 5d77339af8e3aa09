import { statusOf, wordsOf } from '../cluster/connection.js'
import { Problem } from '../core/errors.js'

/** Asks the kube-apiserver. @throws Problem cluster_unavailable, whose cause is what the client threw */
export async function askCluster<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    const problem = new Problem('cluster_unavailable', `The cluster could not be asked: ${wordsOf(error)}`, {
      retryAfter: 5,
    })
    problem.cause = error
    throw problem
  }
}

/** Whether the kube-apiserver means it: to ask again would change nothing. 401 is a token that is being replaced. */
export function isRefusal(problem: unknown): problem is Problem {
  if (!isClusterTrouble(problem)) return false
  const status = statusOf(problem.cause)
  return status !== undefined && status >= 400 && status < 500 && ![401, 408, 429].includes(status)
}

export function isClusterTrouble(problem: unknown): problem is Problem {
  return problem instanceof Problem && problem.code === 'cluster_unavailable'
}
