/** So many questions are under way at once, at most. */
const AT_ONCE = 4
/** So many begin in a second; after a quiet second all of them at once. */
const A_SECOND = 10
/** So many may wait, and so long (ms): each holds a request, and who sends it does not wait for ever either. */
const MOST_WAITING = 64
const LONGEST = 2_000

/** There were too many before it. */
export class NoTurn extends Error {
  constructor() {
    super('more come than are asked about')
  }
}

interface Waiting {
  begin(): void
  refuse(): void
}

/**
 * Has few questions asked at a time, however many there are. Sources take turns: one that asks without end has as many of
 * them as one that asks once, and nobody waits for it.
 */
export class Turns {
  /** By source, and in the order of their turns. None of the lines is empty. */
  readonly #lines = new Map<string, Waiting[]>()
  #waiting = 0
  #underWay = 0
  /** How many may begin now, and when that was so. */
  #left = A_SECOND
  #leftAt = performance.now()
  #timer: NodeJS.Timeout | undefined

  /** Whether nobody waits. */
  get areFree(): boolean {
    return this.#waiting === 0
  }

  /** What `ask` says, when its turn has come. Rejects with NoTurn if it does not come in time, and as `ask` does. */
  async take<Answer>(source: string, ask: () => Promise<Answer>): Promise<Answer> {
    await this.#turnOf(source)
    try {
      return await ask()
    } finally {
      this.#underWay--
      this.#next()
    }
  }

  #turnOf(source: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#leave(source, one)
        reject(new NoTurn())
      }, LONGEST)
      const one: Waiting = {
        begin: () => {
          clearTimeout(timer)
          resolve()
        },
        refuse: () => {
          clearTimeout(timer)
          reject(new NoTurn())
        },
      }
      const line = this.#lines.get(source)
      if (line === undefined) this.#lines.set(source, [one])
      else line.push(one)
      this.#waiting++
      this.#next()
      if (this.#waiting > MOST_WAITING) this.#refuseOne()
    })
  }

  /** The last of the longest line goes: so a source that has a place always has it at the cost of one that has many. */
  #refuseOne(): void {
    let [longest, length] = ['', 0]
    // Among equals the newest.
    for (const [source, line] of this.#lines) if (line.length >= length) [longest, length] = [source, line.length]
    const last = this.#lines.get(longest)!.at(-1)!
    this.#leave(longest, last)
    last.refuse()
  }

  #leave(source: string, one: Waiting): void {
    const line = this.#lines.get(source)!
    line.splice(line.indexOf(one), 1)
    if (line.length === 0) this.#lines.delete(source)
    this.#waiting--
  }

  #next(): void {
    for (const [source, line] of this.#lines) {
      if (this.#underWay >= AT_ONCE || !this.#mayBegin()) return
      const [one] = line as [Waiting]
      this.#leave(source, one)
      // Behind all others.
      if (this.#lines.delete(source)) this.#lines.set(source, line)
      this.#underWay++
      one.begin()
    }
  }

  #mayBegin(): boolean {
    const now = performance.now()
    this.#left = Math.min(A_SECOND, this.#left + ((now - this.#leftAt) / 1_000) * A_SECOND)
    this.#leftAt = now
    if (this.#left >= 1) {
      this.#left--
      return true
    }
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined
        this.#next()
      },
      Math.ceil(((1 - this.#left) / A_SECOND) * 1_000),
    )
    return false
  }
}
