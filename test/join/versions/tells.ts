import type { Release } from './release.js'

// The stand-ins are programs in plain JavaScript: Node starts them at once.
const { usage } = await import(new URL('cobra.mjs', import.meta.url).href)

/** What keadm of a release tells without doing anything: from the words it is called with to the text. */
export function tells({ join, reset, resetEdge, tag }: Release): Record<string, string> {
  const [major, minor] = tag.slice(1).split('.')
  const info = {
    Major: major,
    Minor: minor,
    GitVersion: tag,
    GitCommit: '0000000000000000000000000000000000000000',
    GitTreeState: 'clean',
    BuildDate: '2022-11-02T08:00:00Z',
    GoVersion: 'go1.17.13',
    Compiler: 'gc',
    Platform: 'linux/amd64',
  }
  const fields = Object.entries(info).map(([key, value]) => `${key}:"${value}"`)
  return {
    'join --help': `Bootstraps the edge component.\n\n${usage('keadm join', join)}`,
    'reset --help': `Tears components down.\n\n${usage('keadm reset', reset, resetEdge ? ['cloud', 'edge'] : [])}`,
    ...(resetEdge && { 'reset edge --help': `Tears the edge down.\n\n${usage('keadm reset edge', resetEdge)}` }),
    version: `version: version.Info{${fields.join(', ')}}`,
    'version -o short': tag,
  }
}
