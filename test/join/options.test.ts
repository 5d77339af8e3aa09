import { hostname } from 'node:os'
import t from 'tap'
import { type DeviceOptions, makeDevice, missing, SHELLS, TOKEN } from './device.js'
import { startTrouble, text } from './trouble.js'

// What is given on the command line and in the environment: refused before anything is asked, or sent as it should be.

const SERVER = ['--server', 'http://127.0.0.1:1', '--timeout', '0']
const GOOD = [...SERVER, '--node-name', 'edge-1']
const HTTPS = ['--server', 'https://127.0.0.1:1', '--timeout', '0', '--node-name', 'edge-1']
const PIN = 'ab'.repeat(32)

/** Arguments, exit code, and what the line on stderr must have in it. */
const WRONG: [string, string[], RegExp][] = [
  ['no server', ['--node-name', 'edge-1'], /no server given; .*EDGE_IPAM_SERVER/],
  ['a server that is no URL', ['--server', 'ipam.example:8080'], /must be a URL; /],
  ['another scheme', ['--server', 'ftp://ipam.example'], /must be a URL; /],
  ['a password in the URL', ['--server', 'http://user:pass@ipam.example'], /must not contain a user or password; /],
  ['a query in the URL', ['--server', 'http://ipam.example/?a=b'], /a character that does not belong there; /],
  ['a space in the URL', ['--server', 'http://ipam.example/a b'], /a character that does not belong there; /],
  ['a token as an option', [...GOOD, '--token', TOKEN], /--token is not taken, .* ps; set EDGE_IPAM_TOKEN/],
  ['a token as an option with =', [...GOOD, `--token=${TOKEN}`], /--token is not taken/],
  ['an unknown option', [...GOOD, '--nodename', 'edge-1'], /unknown option --nodename; /],
  ['an unknown option with a value', [...GOOD, `--tokn=${TOKEN}`], /unknown option --tokn; /],
  ['an argument that is no option', [...GOOD, TOKEN], /an argument that is no option; /],
  ['an option without its value', [...SERVER, '--node-name'], /--node-name needs a value; /],
  ['an empty value', [...SERVER, '--node-name='], /--node-name needs a value; /],
  ['a node name in capitals', [...SERVER, '--node-name', 'Edge-1'], /the node name 'Edge-1' is not valid; /],
  [
    'a node name that is an address',
    [...SERVER, '--node-name', '10.0.0.1'],
    /the node name '10\.0\.0\.1' is not valid; /,
  ],
  ['a node name with two dots', [...SERVER, '--node-name', 'a..b'], /is not valid; /],
  ['a node name with a dash at a dot', [...SERVER, '--node-name', 'a-.b'], /is not valid; /],
  ['a node name that is too long', [...SERVER, '--node-name', 'a'.repeat(254)], /is not valid; .*253/],
  ['a node name that would be JSON', [...SERVER, '--node-name', 'a","pool":"x'], /is not valid; /],
  ['a display IP that is none', [...GOOD, '--display-ip', '192.168.1.300'], /the display IP .* is not an IP address; /],
  ['a display IP with leading zeros', [...GOOD, '--display-ip', '192.168.01.3'], /is not an IP address; /],
  ['a display IP with a prefix', [...GOOD, '--display-ip', '192.168.1.3/24'], /is not an IP address; /],
  ['a pool name that would be JSON', [...GOOD, '--pool', 'a"b'], /the pool name .* is not valid; /],
  ['a label without a value', [...GOOD, '--label', 'site'], /the label 'site' has no '='; /],
  ['a label with a bad key', [...GOOD, '--label', 'a b=c'], /the label key 'a b' is not valid; /],
  ['a label with a bad value', [...GOOD, '--label', 'a=b"c'], /the value of the label 'a' is not valid; /],
  ['a label that is too long', [...GOOD, '--label', `a=${'b'.repeat(64)}`], /the value of the label 'a' is too long; /],
  ['a label given twice', [...GOOD, '--label', 'a=b', '--label', 'a=c'], /the label 'a' is given twice; /],
  ['a timeout that is no number', [...GOOD, '--timeout', '5m'], /--timeout '5m' is not a number of seconds; /],
  [
    'a CA file that is not there',
    [...GOOD, '--ca-file', '/no/such/file'],
    /the file '\/no\/such\/file' .* cannot be read; /,
  ],
  ['a UID that would be JSON', [...GOOD, '--node-uid', 'a"b'], /the node UID 'a"b' is not valid; /],
  ['both authorities', [...HTTPS, '--ca-file', '/dev/null', '--ca-sha256', PIN], /are both given; give one/],
  ['a pin without https', [...GOOD, '--ca-sha256', PIN], /--ca-sha256 is of no use without https; /],
  ['a pin that is too short', [...HTTPS, '--ca-sha256', PIN.slice(1)], /is not a SHA-256 fingerprint; .*64/],
  ['a pin that is no number', [...HTTPS, '--ca-sha256', `g${PIN.slice(1)}`], /is not a SHA-256 fingerprint; /],
  ['two things at once', [...GOOD, '--check', '--uninstall'], /--check and --uninstall exclude each other; /],
  [
    'two node names',
    [...GOOD, '--', '--edgenode-name=edge-2'],
    /--node-name says 'edge-1' and the keadm arguments say 'edge-2'; /,
  ],
  [
    'an address for keadm',
    [...GOOD, '--', '--edgenode-ip', '10.0.0.1'],
    /have --edgenode-ip.*; leave it out .*--display-ip/,
  ],
  ['an address for keadm, the short way', [...GOOD, '--', '-a', '10.0.0.1'], /have --edgenode-ip.*; /],
  [
    'a nodeIP for keadm',
    [...GOOD, '--', '--set', 'a.b=1, Modules.Edged.NodeIP=10.0.0.1'],
    /set modules\.edged\.nodeIP, .*; leave it out/,
  ],
]

for (const shell of SHELLS) {
  const skip = missing(shell, 'curl') ?? false
  const env = { EDGE_IPAM_TOKEN: TOKEN }

  t.test(
    `${shell}: wrong usage is refused with code 2 and one line that does not repeat a token`,
    { skip },
    async (t) => {
      const device = makeDevice(t, { shell })
      for (const [name, args, line] of WRONG) {
        const result = await device.run(args, { env })
        t.equal(result.code, 2, name)
        t.match(result.stderr, line, name)
        t.match(result.stderr, /^join\.sh: [^\n]+; [^\n]+\n$/, `${name}: what; what to do`)
        t.notMatch(result.stderr, TOKEN, name)
        t.equal(result.stdout, '', name)
      }
      t.strictSame(device.joins(), [])
    },
  )

  t.test(`${shell}: --help needs nothing, and lists every exit code that is used`, { skip }, async (t) => {
    const device = makeDevice(t, { shell, client: 'none', keadm: 'missing' })
    const help = await device.run(['--help'])
    t.match(help, { code: 0, stderr: '' })
    for (let code = 2; code <= 23; code++)
      t.match(help.stdout, new RegExp(`^ {2}${String(code).padStart(2)} {2}\\S`, 'm'))
  })

  t.test(`${shell}: what it needs and does not find`, { skip }, async (t) => {
    const none = await makeDevice(t, { shell, client: 'none' }).run(GOOD, { env })
    t.match(none, { code: 3, stderr: /^join\.sh: there is neither curl nor GNU wget; install one of them\n$/ })
    const wgets: Partial<DeviceOptions>[] = [
      ...(missing('busybox') ? [] : [{ client: 'busybox wget' as const }]),
      { client: 'none', stubs: { wget: 'echo "GNU Wget2 2.1.0 - multithreaded metalink/file/website downloader"\n' } },
    ]
    for (const wget of wgets) {
      const result = await makeDevice(t, { shell, ...wget }).run(GOOD, { env })
      t.match(result, { code: 3, stderr: /^join\.sh: .* would show the token .*; install curl or GNU wget 1\n$/ })
    }
    const keadm = await makeDevice(t, { shell, keadm: 'missing' }).run(GOOD, { env })
    t.match(keadm, { code: 14, stderr: /^join\.sh: keadm was not found .*; .*--keadm PATH\n$/ })
    const folder = await makeDevice(t, { shell }).run([...GOOD, '--keadm', '/tmp'], { env })
    t.match(folder, { code: 14 })
    const temporary = await makeDevice(t, { shell }).run(GOOD, { env: { ...env, TMPDIR: '/no/such/folder' } })
    t.match(temporary, { code: 1, stderr: /^join\.sh: cannot make a folder in \/no\/such\/folder; [^\n]*\n$/ })
  })

  t.test(`${shell}: options and environment arrive in the request`, { skip }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, '10.213.0.7\n')])
    const device = makeDevice(t, { shell })
    const options = [
      '--node-name=edge-1',
      '--display-ip=fd00::10',
      '--pool=north',
      '--label=a/b.c=d_e',
      '--label',
      'empty=',
    ]
    const result = await device.run(options, { env: { ...env, EDGE_IPAM_SERVER: `${url}/ipam/` } })
    t.match(result, { code: 0, stderr: '' })
    t.equal(seen[0]!.url, '/ipam/v1/allocations')
    t.strictSame(JSON.parse(seen[0]!.body), {
      nodeName: 'edge-1',
      displayIp: 'fd00::10',
      pool: 'north',
      labels: { 'a/b.c': 'd_e', empty: '' },
    })
    await device.run(['--server', url, '--node-name', 'edge-1', '--display-ip', 'none'], {
      env: { ...env, EDGE_IPAM_SERVER: 'http://127.0.0.1:1' },
    })
    t.strictSame(JSON.parse(seen[1]!.body), { nodeName: 'edge-1' }, 'the option is nearer than the environment')
    const dry = await device.run(['--server', url, '--node-name', 'edge-1', '--dry-run'], { env })
    t.equal(seen[2]!.url, '/v1/allocations?dryRun=true')
    t.match(dry, { code: 0, stderr: '' })
  })

  t.test(`${shell}: the node name is the host's name, made valid`, { skip }, async (t) => {
    const { url, seen } = await startTrouble(t, [text(201, '10.213.0.7\n')])
    const names: [string, string][] = [
      ['edge-7', 'edge-7'],
      ['Factory_Line 3.Site-B.', 'factory-line-3.site-b'],
      ['-.a-.-b..c_-', 'a.b.c'],
      ['caf\u00e9', 'caf'],
      ['192.168.1.5', '192-168-1-5'],
      [`${'a'.repeat(252)}.b`, 'a'.repeat(252)],
    ]
    for (const [host, name] of names) {
      const device = makeDevice(t, { shell, stubs: { uname: `printf '%s\\n' '${host}'\n` } })
      t.match(await device.run(['--server', url], { env }), { code: 0, stderr: '' }, host)
      t.equal(JSON.parse(seen.at(-1)!.body).nodeName, name, host)
      t.ok(device.joins()[0]!.includes(`--edgenode-name=${name}`))
    }
    for (const host of ['localhost', 'localhost.localdomain', '(none)', '___']) {
      const device = makeDevice(t, { shell, stubs: { uname: `printf '%s\\n' '${host}'\n` } })
      const result = await device.run(['--server', url], { env })
      t.match(result, { code: 2, stderr: /does not tell this device from others; add --node-name NAME\n$/ }, host)
    }
    const own = makeDevice(t, { shell })
    await own.run(['--server', url], { env })
    t.match(JSON.parse(seen.at(-1)!.body).nodeName, hostname().toLowerCase().replaceAll('_', '-').slice(0, 5))
  })
}
