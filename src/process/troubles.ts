import type { FastifyBaseLogger } from 'fastify'

/** Logs what goes wrong again and again: once, and once more when it is over. */
export class Troubles {
  readonly #now = new Map<string, string>()

  constructor(private readonly log: FastifyBaseLogger) {}

  met(what: string, { message }: Error): void {
    if (this.#now.get(what) === message) return
    this.#now.set(what, message)
    this.log.warn({ cause: message }, what)
  }

  over(what: string): void {
    if (this.#now.delete(what)) this.log.info(`${what}: over`)
  }
}
