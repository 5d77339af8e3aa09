import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { freePort } from '../support/free-port.js'

// A real control plane of a test file's own: etcd, kube-apiserver and kubectl, on loopback, with TLS and RBAC. There is
// no controller-manager: what it would make has to be made by the test.

const programs = process.env.EDGE_IPAM_TEST_CONTROL_PLANE ?? ''
/** How long (ms) a program may take to come up. */
const PATIENCE = 60_000

export interface Lab {
  /** Everything of it lies here, gone with the test. */
  readonly folder: string
  readonly url: string
  /** The authority of the kube-apiserver, and of the certificates that it shows. PEM files. */
  readonly authority: string
  /** The kubeconfig of a cluster administrator. */
  readonly kubeconfig: string
  /** A kubeconfig for a token, which lies in a file beside it: `${file}.token`. */
  kubeconfigFor(name: string, token: string): Promise<string>
  /** Another authority, in the same file, and another certificate of the kube-apiserver. Of the old one nothing is left. */
  renewAuthority(): Promise<void>
  /** A certificate and its key, signed by the authority. */
  certificate(name: string, subject: string, hosts?: readonly string[]): Promise<{ cert: string; key: string }>
  /** Asks the kube-apiserver as the administrator, or as whoever the token is of. */
  ask(method: string, path: string, body?: unknown, options?: AskOptions): Promise<Answer>
  /** What kubectl writes on stdout; `input` is its stdin. Rejects with what it wrote on stderr. */
  kubectl(args: readonly string[], input?: string): Promise<{ stdout: string; stderr: string }>
  /** A token of a ServiceAccount, which is made where there is none. */
  tokenOf(namespace: string, name: string): Promise<string>
  /** Every request that the kube-apiserver has answered so far: `user verb resource[/subresource]`. */
  audited(): Promise<{ user: string; verb: string; resource: string; code: number }[]>
  apiserver: Program
}

export interface AskOptions {
  token?: string
  /** Of a PATCH; strategic merge where it is not said. */
  contentType?: string
  /** Keeps connections; else each request has its own. */
  agent?: Agent
}

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
  body: any
}

/** A program that a test may break. */
export interface Program {
  start(): Promise<void>
  stop(): Promise<void>
  signal(signal: NodeJS.Signals): void
}

export interface LabOptions {
  /** More flags of the kube-apiserver. */
  flags?: readonly string[]
}

/** Starts one; it ends with the test. */
export async function startLab(t: Pick<Test, 'teardown'>, { flags = [] }: LabOptions = {}): Promise<Lab> {
  if (programs === '') throw new Error('These tests need a kube-apiserver: run them with `npm run test:k8s`.')
  const folder = await mkdtemp(join(tmpdir(), 'edge-ipam-lab-'))
  const running: ChildProcess[] = []
  t.teardown(async () => {
    for (const child of running.reverse()) await end(child, 'SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const at = (name: string) => join(folder, name)
  const makeAuthority = () =>
    openssl(
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'].concat([
        '-subj',
        `/CN=lab ${randomBytes(4).toString('hex')}`,
        '-keyout',
        at('ca.key'),
        '-out',
        at('ca.crt'),
      ]),
    )
  makeAuthority()
  openssl(['genrsa', '-out', at('accounts.key'), '2048'])
  const certificate: Lab['certificate'] = async (name, subject, hosts = []) => {
    const [cert, key, csr, extensions] = ['crt', 'key', 'csr', 'ext'].map((end) => at(`${name}.${end}`)) as [
      string,
      string,
      string,
      string,
    ]
    openssl(
      ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject].concat([
        '-keyout',
        key,
        '-out',
        csr,
      ]),
    )
    const names = hosts.map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`))
    await writeFile(
      extensions,
      names.length > 0 ? `subjectAltName=${names.join(',')}\n` : 'extendedKeyUsage=clientAuth\n',
    )
    openssl(
      ['x509', '-req', '-in', csr, '-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial'].concat([
        '-days',
        '30',
        '-extfile',
        extensions,
        '-out',
        cert,
      ]),
    )
    return { cert, key }
  }
  const serve = () => certificate('apiserver', '/CN=kube-apiserver', ['127.0.0.1', 'localhost'])
  const serving = await serve()
  const token = randomBytes(16).toString('hex')
  await writeFile(at('tokens.csv'), `${token},administrator,administrator,system:masters\n`)
  await writeFile(
    at('audit.yaml'),
    'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n',
  )

  const [clients, peers, port] = (await Promise.all([freePort(), freePort(), freePort()])) as [number, number, number]
  const etcd = launch(at('etcd.log'), 'etcd', [
    `--data-dir=${at('etcd')}`,
    '--unsafe-no-fsync',
    '--log-level=error',
    `--listen-client-urls=http://127.0.0.1:${clients}`,
    `--advertise-client-urls=http://127.0.0.1:${clients}`,
    `--listen-peer-urls=http://127.0.0.1:${peers}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peers}`,
    `--initial-cluster=default=http://127.0.0.1:${peers}`,
  ])
  running.push(etcd)

  const url = `https://127.0.0.1:${port}`
  let ca = await readFile(at('ca.crt'))
  let child: ChildProcess | undefined
  const apiserver: Program = {
    async start() {
      child = launch(at('apiserver.log'), 'kube-apiserver', [
        `--etcd-servers=http://127.0.0.1:${clients}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        `--tls-cert-file=${serving.cert}`,
        `--tls-private-key-file=${serving.key}`,
        `--client-ca-file=${at('ca.crt')}`,
        `--token-auth-file=${at('tokens.csv')}`,
        '--endpoint-reconciler-type=none',
        '--authorization-mode=Node,RBAC',
        '--enable-admission-plugins=MutatingAdmissionWebhook,ValidatingAdmissionWebhook',
        '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
        '--service-cluster-ip-range=10.96.0.0/16',
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${at('accounts.key')}`,
        `--service-account-signing-key-file=${at('accounts.key')}`,
        `--audit-policy-file=${at('audit.yaml')}`,
        `--audit-log-path=${at('audit.log')}`,
        ...flags,
      ])
      running.push(child)
      await isReady(child)
    },
    async stop() {
      if (child) await end(child, 'SIGKILL')
    },
    signal: (signal) => void child?.kill(signal),
  }

  const ask: Lab['ask'] = (method, path, body, { token: other = token, contentType, agent } = {}) =>
    new Promise((resolve, reject) => {
      const sent = request(`${url}${path}`, {
        method,
        ca,
        agent: agent ?? false,
        headers: {
          authorization: `Bearer ${other}`,
          ...(body !== undefined && {
            'content-type':
              contentType ?? (method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json'),
          }),
        },
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({ status: response.statusCode!, body: text.startsWith('{') ? JSON.parse(text) : text })
        })
      })
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })

  async function isReady(server: ChildProcess): Promise<void> {
    const until = Date.now() + PATIENCE
    while ((await ask('GET', '/readyz').catch(() => undefined))?.status !== 200) {
      if (server.exitCode !== null || Date.now() > until) {
        throw new Error(
          `the kube-apiserver did not come up:\n${(await readFile(at('apiserver.log'), 'utf8')).slice(-3_000)}`,
        )
      }
      await pause(50)
    }
  }

  const kubeconfigFor: Lab['kubeconfigFor'] = async (name, secret) => {
    const file = at(`${name}.kubeconfig`)
    await writeFile(`${file}.token`, secret)
    await writeFile(
      file,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'lab', cluster: { server: url, 'certificate-authority': 'ca.crt' } }],
        users: [{ name, user: { tokenFile: `${file}.token` } }],
        contexts: [{ name: 'lab', context: { cluster: 'lab', user: name } }],
        'current-context': 'lab',
      }),
    )
    return file
  }
  await apiserver.start()
  const kubeconfig = await kubeconfigFor('administrator', token)
  return {
    folder,
    url,
    authority: at('ca.crt'),
    kubeconfig,
    kubeconfigFor,
    certificate,
    async renewAuthority() {
      await apiserver.stop()
      makeAuthority()
      await serve()
      ca = await readFile(at('ca.crt'))
      await apiserver.start()
    },
    ask,
    apiserver,
    kubectl: (args, input) => {
      const run = promisify(execFile)(join(programs, 'kubectl'), ['--kubeconfig', kubeconfig, ...args], {
        env: { PATH: process.env.PATH, HOME: folder },
        maxBuffer: 64 * 1024 * 1024,
      })
      run.child.stdin!.end(input)
      return run
    },
    async tokenOf(namespace, name) {
      await ask('POST', '/api/v1/namespaces', { metadata: { name: namespace } })
      await ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } })
      const made = await ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 3600 },
      })
      if (made.status !== 201) throw new Error(`no token of ${namespace}/${name}: ${JSON.stringify(made.body)}`)
      return made.body.status.token
    },
    async audited() {
      const lines = (await readFile(at('audit.log'), 'utf8')).trim().split('\n')
      return lines.flatMap((line) => {
        const { user, verb, objectRef, responseStatus } = JSON.parse(line)
        if (!objectRef) return []
        const { resource, subresource } = objectRef
        return [
          {
            user: user.username,
            verb,
            resource: subresource ? `${resource}/${subresource}` : resource,
            code: responseStatus?.code,
          },
        ]
      })
    },
  }
}

function launch(log: string, program: string, args: readonly string[]): ChildProcess {
  const child = spawn(join(programs, program), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const file = createWriteStream(log, { flags: 'a' })
  for (const stream of [child.stdout!, child.stderr!]) stream.pipe(file, { end: false })
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGCONT')
  child.kill(signal)
  await once(child, 'exit')
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
