import { Problem } from '../core/errors.js'

interface Waiting<Question, Answer> {
  question: Question
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

/**
 * Gathers callers who come at the same time into one batch, so that one round trip (and one fsync) serves them all.
 *
 * There is no timer: who comes while nothing is under way starts a batch at the end of the same turn of the event
 * loop; who comes while one is under way is in the next, which begins when that one ends. So a lone caller waits for
 * nobody, and batches grow just as large as the database's own time, or that of the other replicas, makes them.
 *
 * A batch that fails as a whole with a Problem (the database is away) fails everybody who waits, too: they would wait
 * as long again, for the same answer. One that fails otherwise is done again question by question, so that one bad
 * question costs the others nothing.
 */
export class Gatherer<Question, Answer> {
  readonly #queue: Waiting<Question, Answer>[] = []
  #running = 0
  #scheduled = false

  constructor(
    private readonly options: {
      /** Answers in the order of the questions. */
      run: (questions: readonly Question[]) => Promise<readonly Answer[]>
      /**
       * Does the work when it is this process's turn; `waiting` are those who ask for it. The batch is made up only
       * then, with whoever has come by then: one made up before would be small, and leave the others for another turn.
       * Rejects only if the work does, and that does not. For one at a time.
       */
      inTurn?: <T>(waiting: readonly Question[], work: () => Promise<T>) => Promise<T>
      maxBatch: number
      maxRunning: number
      /** Above this many waiting questions the next one is refused at once. */
      maxQueue: number
      /** Questions with the same key never share a batch. */
      keyOf?: (question: Question) => string
    },
  ) {}

  /** @throws Problem store_unavailable when too many wait already; whatever `run` throws */
  ask(question: Question): Promise<Answer> {
    if (this.#queue.length >= this.options.maxQueue) {
      return Promise.reject(
        new Problem('store_unavailable', 'More requests are waiting than can be served in time. Try again shortly.', {
          retryAfter: 1,
        }),
      )
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ question, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#running >= this.options.maxRunning || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      // More than one where the largest batch does not take all.
      while (this.#startNext());
    })
  }

  /** The longest waiting ones that may share a batch. */
  #take(): Waiting<Question, Answer>[] {
    const { keyOf, maxBatch } = this.options
    if (!keyOf) return this.#queue.splice(0, maxBatch)
    const batch: Waiting<Question, Answer>[] = []
    const later: Waiting<Question, Answer>[] = []
    const keys = new Set<string>()
    let looked = 0
    for (; looked < this.#queue.length && batch.length < maxBatch; looked++) {
      const waiting = this.#queue[looked]!
      const key = keyOf(waiting.question)
      if (keys.has(key)) {
        later.push(waiting)
      } else {
        keys.add(key)
        batch.push(waiting)
      }
    }
    this.#queue.splice(0, looked, ...later)
    return batch
  }

  async #serveNext(): Promise<void> {
    this.#running++
    const { inTurn } = this.options
    const work = () => this.#serve(this.#take())
    const tell = inTurn
      ? await inTurn(
          this.#queue.map(({ question }) => question),
          work,
        )
      : await work()
    this.#ended(tell)
  }

  /** Never rejects: what it resolves with tells the callers what became of them. */
  async #serve(batch: readonly Waiting<Question, Answer>[]): Promise<() => void> {
    try {
      const answers = await this.options.run(batch.map((waiting) => waiting.question))
      return () => {
        for (const [index, waiting] of batch.entries()) waiting.resolve(answers[index]!)
      }
    } catch (error) {
      const rejected = error instanceof Problem ? [...batch, ...this.#queue.splice(0)] : batch
      if (rejected.length === 1 || error instanceof Problem) {
        return () => {
          for (const waiting of rejected) waiting.reject(error)
        }
      }
      const tells = await Promise.all(batch.map((waiting) => this.#serve([waiting])))
      return () => {
        for (const tell of tells) tell()
      }
    }
  }

  /**
   * A batch has ended. The next one is sent first, and only then are the callers told: while this process writes their
   * answers, the database has work. At once, too, and not at the turn's end: a lock that is kept while there is work
   * would take the pause for its end. Where nobody waits, some may have come meanwhile and only not been read yet: the
   * turn is let end, and who has come by then goes first.
   */
  #ended(tell: () => void): void {
    this.#running--
    if (this.#startNext()) setImmediate(tell)
    else setImmediate(() => (this.#startNext() ? setImmediate(tell) : tell()))
  }

  #startNext(): boolean {
    if (this.#queue.length === 0 || this.#running >= this.options.maxRunning) return false
    void this.#serveNext()
    return true
  }
}
