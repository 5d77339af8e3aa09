/** What the run tells people, step by step, and what it found out. */
export interface Check {
  step: string
  ok: boolean
  text: string
}

export interface Column {
  title: string
  right?: true
}

const WIDTH = 110
const INDENT = '   '

/**
 * Writes the story: colours and a progress bar on a terminal, plain lines elsewhere, nothing when `silent`. Keeps the
 * checks for the result.
 */
export class Screen {
  readonly checks: Check[] = []
  readonly #terminal: boolean
  readonly #colours: boolean
  readonly #unicode: boolean
  #step = ''
  #number = 0

  constructor(
    private readonly out: NodeJS.WriteStream,
    env: NodeJS.ProcessEnv,
    private readonly silent: boolean,
  ) {
    this.#terminal = out.isTTY === true && env.TERM !== 'dumb'
    this.#colours = this.#terminal && !env.NO_COLOR
    this.#unicode = this.#terminal && /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '')
  }

  title(text: string): void {
    this.#write(`${this.#paint('1', text)}\n`)
  }

  /** A heading: what happens now, in one sentence. */
  step(text: string): void {
    this.#number++
    this.#step = text
    this.#write(`\n${this.#paint('1;36', `${this.#number}  ${text}`)}\n`)
  }

  say(text: string): void {
    for (const line of this.#wrapped(text, INDENT.length)) this.#write(`${INDENT}${line}\n`)
  }

  /** What the step proved, or what is wrong. @returns ok */
  check(ok: boolean, proved: string, wrong = `not true: ${proved}`): boolean {
    const text = ok ? proved : wrong
    this.checks.push({ step: this.#step, ok, text })
    const sign = ok ? this.#paint('32', this.#unicode ? '✓' : 'ok') : this.#paint('1;31', 'WRONG')
    const lead = ok ? (this.#unicode ? 2 : 3) : 6
    this.#wrapped(text, INDENT.length + lead).forEach((line, index) => {
      this.#write(`${INDENT}${index === 0 ? `${sign} ` : ' '.repeat(lead)}${ok ? line : this.#paint('31', line)}\n`)
    })
    return ok
  }

  get problems(): string[] {
    return this.checks.filter(({ ok }) => !ok).map(({ step, text }) => `${step}: ${text}`)
  }

  /** Shows how far some work is, on a terminal; `done` takes the bar away. */
  progress(what: string, total: number): { tick(): void; done(): void } {
    if (!this.#terminal || this.silent) return { tick: () => {}, done: () => {} }
    const began = performance.now()
    let count = 0
    let drawn = 0
    return {
      tick: () => {
        count++
        const now = performance.now()
        if (now - drawn < 50 && count < total) return
        drawn = now
        const perSecond = count / Math.max((now - began) / 1000, 0.001)
        const full = Math.round((count / total) * 30)
        const [on, off] = this.#unicode ? ['█', '░'] : ['#', '-']
        const bar = this.#paint('36', on.repeat(full)) + this.#paint('2', off.repeat(30 - full))
        this.out.write(`\r${INDENT}${bar} ${integer(count)}/${integer(total)} ${what}, ${integer(perSecond)}/s\x1b[K`)
      },
      done: () => this.out.write('\r\x1b[K'),
    }
  }

  table(columns: readonly Column[], rows: readonly (readonly string[])[]): void {
    const widths = columns.map(({ title }, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
    const line = (cells: readonly string[]) =>
      cells
        .map((cell, at) => (columns[at]?.right ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
        .join('  ')
        .trimEnd()
    this.#write(`${INDENT}${this.#paint('1', line(columns.map(({ title }) => title)))}\n`)
    for (const row of rows) this.#write(`${INDENT}${line(row)}\n`)
  }

  gap(): void {
    this.#write('\n')
  }

  /** The last line. */
  verdict(ok: boolean, text: string): void {
    this.#write(`\n${this.#paint(ok ? '1;32' : '1;31', text)}\n`)
  }

  #write(text: string): void {
    if (!this.silent) this.out.write(text)
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text
  }

  #wrapped(text: string, indent: number): string[] {
    const width = Math.max(Math.min(this.#terminal ? (this.out.columns ?? WIDTH) : WIDTH, WIDTH) - indent, 30)
    const lines: string[] = []
    for (const word of text.split(' ')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(word)
    }
    return lines
  }
}

/** 1234567 as 1,234,567. */
export function integer(value: number | bigint): string {
  return (typeof value === 'bigint' ? value : Math.round(value)).toLocaleString('en-US')
}

/** `1 node`, `2,000 nodes`, `2 addresses`. */
export function count(value: number | bigint, noun: string): string {
  return `${integer(value)} ${noun}${Number(value) === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`
}
