/** What was started and has to be ended, in the reverse order, whatever happens in between. */
export class Scope {
  readonly #ends: (() => Promise<unknown> | unknown)[] = []

  onEnd(end: () => Promise<unknown> | unknown): void {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    for (let end = this.#ends.pop(); end; end = this.#ends.pop()) {
      try {
        await end()
      } catch (error) {
        process.stderr.write(`bench: not ended cleanly: ${(error as Error).message}\n`)
      }
    }
  }
}
