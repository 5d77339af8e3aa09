import { settings } from '../config/settings.js'

/** What `edge-ipam --help` prints. */
export function help(): string {
  return `edge-ipam gives KubeEdge edge nodes cluster-unique IP addresses.

Usage:
  edge-ipam <command> [--help]

Commands:
  serve      run the service (migrates the database first)
  migrate    bring the database to the version that this program needs, and end
  demo       show it working: sites with clashing addresses join, are looked up, moved and released
  version    print the version

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
Settings come from the environment: edge-ipam serve --help lists them.
`
}

/** What `edge-ipam serve --help` and `edge-ipam migrate --help` print. */
export function settingsHelp(command: 'serve' | 'migrate'): string {
  const all = Object.values(settings) as { variable: string; meaning: string; fallback?: string; secret?: true }[]
  const width = Math.max(...all.map(({ variable }) => variable.length))
  const lines = all.map(({ variable, meaning, fallback, secret }) => {
    const notes = [fallback && `default ${fallback}`, secret && `or as a file: ${variable}_FILE`].filter(Boolean)
    return `  ${variable.padEnd(width)}  ${meaning}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`
  })
  const what = command === 'serve' ? 'Runs the service.' : 'Brings the database to the version that this program needs.'
  return `Usage: edge-ipam ${command}

${what}

Environment:
${lines.join('\n')}
`
}
