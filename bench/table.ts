import type { Result, Side } from './figure.js'

/** The figures, a line each, and below them who used the processors. */
export function tableOf(results: readonly Result[]): string {
  const figures = [
    ['figure', 'goal', 'measured', 'spread', 'ours /s', 'against /s', '', 'ours p50/p99 ms', 'against p50/p99 ms'],
    ...results.map((result) => [result.name, goal(result), ...outcome(result), ...sides(result)]),
  ]
  const lines = [align(figures), '']
  for (const { name, title } of results) lines.push(`  ${name.padEnd(18)} ${title}`)
  const missing = results.filter((result) => result.void !== null || result.leftOut !== null)
  if (missing.length > 0) lines.push('')
  for (const { name, void: reason, leftOut } of missing) {
    lines.push(reason === null ? `Left out: ${name}: ${leftOut}` : `VOID: ${name}: ${reason}`)
  }
  const busy = processors(results)
  if (busy.length > 0) {
    lines.push('', 'Processors kept busy (1 is a core), and their time for each request:')
    lines.push(align([['', '', 'server', 'PostgreSQL', 'generator', 'others', 'server µs', 'PostgreSQL µs'], ...busy]))
    const others = Math.max(
      ...results.flatMap(({ ours, against }) => [ours, against]).map((side) => side?.cpu?.others ?? 0),
    )
    if (others > 0.2) {
      lines.push(
        '',
        `Others used up to ${others.toFixed(1)} cores meanwhile: on a calm machine the figures may differ.`,
      )
    }
  }
  return lines.join('\n')
}

function goal({ goal: wanted, met }: Result): string {
  if (!wanted) return '–'
  const text = 'atLeast' in wanted ? `≥ ${wanted.atLeast}` : `≤ ${wanted.atMost}`
  return met === null ? text : `${text} ${met ? 'met' : 'missed'}`
}

function outcome({ value, unit, void: reason }: Result): string[] {
  if (value === null) return [reason === null ? '–' : 'void', '–']
  const show = (one: number) => (Math.abs(one) >= 100 ? Math.round(one).toLocaleString('en') : one.toFixed(2))
  return [`${show(value.median)} ${unit}`.trim(), `${show(value.min)}–${show(value.max)}`]
}

function sides({ ours, against }: Result): string[] {
  return [perSecond(ours), perSecond(against), against?.contestant ?? '', times(ours), times(against)]
}

function perSecond(side: Side | null): string {
  return side === null ? '–' : Math.round(side.rate).toLocaleString('en')
}

function times(side: Side | null): string {
  const show = (one: number) => one.toFixed(one < 1 ? 2 : 1)
  return side === null ? '–' : `${show(side.p50)} / ${show(side.p99)}`
}

function processors(results: readonly Result[]): string[][] {
  const rows = new Map<string, string[]>()
  for (const { name, metric, ours, against } of results) {
    if (metric !== 'rate') continue
    for (const side of [ours, against]) {
      if (!side?.cpu) continue
      const { server, postgres, client, others } = side.cpu
      const key = `${side.contestant} ${side.rate}`
      if (rows.has(key)) continue
      rows.set(key, [
        name,
        side.contestant,
        ...[server, postgres, client, others].map((one) => one?.toFixed(2) ?? '–'),
        ...[server, postgres].map((one) => (one === null ? '–' : ((one / side.rate) * 1e6).toFixed(0))),
      ])
    }
  }
  return [...rows.values()]
}

function align(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  '),
    )
    .map((line) => line.trimEnd())
    .join('\n')
}
