import type { Test } from 'tap'
import { openWayToPostgres } from '../support/way-to-postgres.js'

/** A way to PostgreSQL that can lose an answer. */
export interface LosingProxy {
  /** The database's URL, by this way. */
  url: string
  /**
   * The next statement that matches reaches the server and is done there, committed if it commits; its answer is kept
   * back, and the connection is lost. Resolves when that has happened.
   */
  loseAnswerTo(statement: RegExp): Promise<void>
  /**
   * From now on every answer is kept back until it is known whether what is to be lost has happened: as soon as it has,
   * that answer and all connections are lost. Whatever the statements are. Resolves when that is so.
   */
  loseAllOnce(happened: () => Promise<boolean>): Promise<void>
}

export async function startLosingProxy(t: Pick<Test, 'teardown'>, databaseUrl: string): Promise<LosingProxy> {
  let wanted: { statement: RegExp; lost: () => void } | undefined
  let watched: { happened: () => Promise<boolean>; lost: () => void } | undefined

  const { url, sockets } = await openWayToPostgres(t, databaseUrl, (client, postgres, end) => {
    let lost: (() => void) | undefined
    let kept = Buffer.alloc(0)
    // What comes later waits until it is known of what came before.
    let known = Promise.resolve()
    const sendUnlessLost = (chunk: Buffer) => {
      known = known.then(async () => {
        if (watched && (await watched.happened())) {
          for (const socket of sockets) socket.destroy()
          watched?.lost()
          watched = undefined
        }
        client.write(chunk)
      })
    }
    client.on('data', (chunk) => {
      if (wanted?.statement.test(chunk.toString('latin1'))) {
        lost = wanted.lost
        wanted = undefined
      }
      postgres.write(chunk)
    })
    postgres.on('data', (chunk) => {
      if (!lost) return sendUnlessLost(chunk)
      kept = Buffer.concat([kept, chunk])
      if (!isDone(kept)) return
      end()
      lost()
    })
  })
  return {
    url,
    loseAnswerTo: (statement) =>
      new Promise((lost) => {
        wanted = { statement, lost }
      }),
    loseAllOnce: (happened) =>
      new Promise((lost) => {
        watched = { happened, lost }
      }),
  }
}

/** Whether the messages end with ReadyForQuery (Z) outside of a transaction (I): what was asked is done and kept. */
function isDone(messages: Buffer): boolean {
  for (let at = 0; at + 5 <= messages.length; at += 1 + messages.readInt32BE(at + 1)) {
    if (messages[at] === 0x5a && messages[at + 5] === 0x49) return true
  }
  return false
}
