import t from 'tap'
import { KUBEEDGE } from './kubeedge.js'
import { KUBESPHERE } from './kubesphere.js'

// The stand-ins themselves: a suite on them says nothing if they take what the real ones refuse.

const { parse, usage } = await import(new URL('cobra.mjs', import.meta.url).href)
const { read, write } = await import(new URL('yaml.mjs', import.meta.url).href)

const ROWS = [...KUBEEDGE, ...KUBESPHERE]
const EVERY_FLAG = [...new Set(ROWS.flatMap(({ join }) => join.map(({ name }) => name)))]

for (const release of ROWS) {
  t.test(`keadm join of ${release.name} takes its flags and no other`, async (t) => {
    for (const name of EVERY_FLAG) {
      const flag = release.join.find((flag) => flag.name === name)
      if (!flag) {
        t.throws(() => parse(release.join, [`--${name}=true`]), { message: `unknown flag: --${name}` })
        continue
      }
      t.strictSame(parse(release.join, [`--${name}=true`]).values[name], ['true'])
      const isBool = flag.type === 'bool'
      t.strictSame(parse(release.join, [`--${name}`, 'false']).values[name], [isBool ? 'true' : 'false'])
      if (flag.short && !isBool) {
        for (const words of [[`-${flag.short}`, 'a'], [`-${flag.short}a`], [`-${flag.short}=a`]]) {
          t.strictSame(parse(release.join, words).values[name], ['a'])
        }
      }
    }
    const shown: string = usage('keadm join', release.join)
    t.strictSame(
      [...shown.matchAll(/^ {2}(?: {4}|-\w, )--([\w-]+)/gm)].map(([, name]) => name).sort(),
      [...release.join.filter((flag) => !flag.deprecated).map(({ name }) => name), 'help'].sort(),
    )
  })
}

t.test('flags are refused in the words of pflag', async (t) => {
  const { join } = KUBEEDGE[0]!
  const refused: [string[], string][] = [
    [['--token'], 'flag needs an argument: --token'],
    [['-t'], "flag needs an argument: 't' in -t"],
    [['-a', '10.0.0.1'], "unknown shorthand flag: 'a' in -a"],
    [['--=x'], 'bad flag syntax: --=x'],
  ]
  for (const [words, message] of refused) t.throws(() => parse(join, words), { message })
  t.strictSame(parse(join, ['a', '--', '--no-flag']).rest, ['a', '--no-flag'])
})

t.test('edgecore.yaml comes back as it was written, and no broken one is read', async (t) => {
  const config = {
    apiVersion: 'edgecore.config.kubeedge.io/v1alpha2',
    modules: {
      edgeHub: { httpServer: 'https://203.0.113.5:10002', token: '', heartbeat: 15 },
      edged: {
        nodeIP: '10.213.0.7',
        labels: {},
        tailoredKubeletConfig: { clusterDNS: ['169.254.96.16'], address: '127.0.0.1' },
      },
      serviceBus: { enable: false },
    },
  }
  const text: string = write(config)
  t.match(
    text,
    '  edged:\n    labels: {}\n    nodeIP: 10.213.0.7\n    tailoredKubeletConfig:\n      address: 127.0.0.1\n      clusterDNS:\n      - 169',
  )
  t.strictSame(read(text), config)
  const line = '    nodeIP: 10.213.0.7\n'
  t.equal(read(text.replace(line, '    nodeIP: "fd00::"\n')).modules.edged.nodeIP, 'fd00::')
  const broken = [
    line + line,
    '    nodeIP: fd00::\n',
    '   nodeIP: 10.213.0.7\n',
    '\tnodeIP: 10.213.0.7\n',
    '    nodeIP\n',
    '    nodeIP: "10\n',
  ]
  for (const other of broken) t.throws(() => read(text.replace(line, other)), { message: /^yaml: line \d+: / }, other)
})
