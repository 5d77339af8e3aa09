import { readFileSync } from 'node:fs'
import { authorityProblem, pairProblem } from './certificates.js'
import { readable } from './checks.js'
import { settings } from './settings.js'

/** What was set, or is the fallback. */
export type Values = Partial<Record<keyof typeof settings, string | undefined>>

/** What is wrong with settings that are right one by one. */
export function contradictions(values: Values, hasCluster: boolean): string[] {
  const problems = [
    ...pairProblems(values, 'tlsCertFile', 'tlsKeyFile'),
    ...pairProblems(values, 'webhookCertFile', 'webhookKeyFile'),
  ]
  const { webhookPort, webhookCertFile = values.tlsCertFile } = values
  if (webhookPort !== undefined && webhookCertFile === undefined) {
    problems.push(
      `EDGE_IPAM_WEBHOOK_PORT=${webhookPort}: the kube-apiserver calls by HTTPS only; set ` +
        'EDGE_IPAM_WEBHOOK_TLS_CERT_FILE and EDGE_IPAM_WEBHOOK_TLS_KEY_FILE, or those for every listener',
    )
  }
  if (values.hook === 'rewrite' && values.cloudcore !== 'patched') {
    problems.push(
      'EDGE_IPAM_HOOK=rewrite: with a cloudcore that keys its tunnels by the address that the edge reports, rewritten nodes ' +
        'lose their metrics; where yours asks this service for the key, say so with EDGE_IPAM_CLOUDCORE=patched',
    )
  }
  if (values.webhookClientCaFile !== undefined) {
    const { webhookClientCaFile: file } = values
    const problem = readable(file) === null ? authorityProblem(readFileSync(file, 'utf8')) : null
    if (problem !== null) problems.push(`EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE=${file}: ${problem}`)
    if (webhookPort === undefined) {
      problems.push(
        `EDGE_IPAM_WEBHOOK_CLIENT_CA_FILE=${file}: only the listener of EDGE_IPAM_WEBHOOK_PORT asks for certificates; set that, too`,
      )
    }
  }
  const taken = new Map<string, string>()
  for (const key of ['port', 'northboundPort', 'joinPort', 'webhookPort'] as const) {
    const { variable } = settings[key]
    const value = values[key]
    if (value === undefined || Number(value) === 0) continue
    const other = taken.get(value)
    if (other !== undefined) problems.push(`${variable}=${value}: is ${other}'s already`)
    taken.set(value, variable)
  }
  if (values.reclaim === 'release' && !hasCluster) {
    problems.push(
      'EDGE_IPAM_RECLAIM=release: there is no cluster that says who is gone; set EDGE_IPAM_KUBERNETES to the path of a kubeconfig',
    )
  }
  for (const [key, use] of [
    ['serviceAccounts', 'to ask'],
    ['hostsConfigMap', 'to write to'],
  ] as const) {
    if (values[key] === undefined || hasCluster) continue
    problems.push(
      `${settings[key].variable}=${values[key]}: there is no cluster ${use}; set EDGE_IPAM_KUBERNETES to the path of a kubeconfig`,
    )
  }
  return problems
}

/** What is wrong with a certificate and its key, as a pair. */
function pairProblems(
  values: Values,
  cert: 'tlsCertFile' | 'webhookCertFile',
  key: 'tlsKeyFile' | 'webhookKeyFile',
): string[] {
  const [certFile, keyFile] = [values[cert], values[key]]
  const [certVariable, keyVariable] = [settings[cert].variable, settings[key].variable]
  if ((certFile === undefined) !== (keyFile === undefined)) {
    return [`${certVariable} and ${keyVariable}: one is of no use without the other`]
  }
  if (certFile === undefined || keyFile === undefined || readable(certFile) || readable(keyFile)) return []
  const problem = pairProblem(readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8'))
  return problem === null ? [] : [`${certVariable}=${certFile} and ${keyVariable}=${keyFile}: ${problem}`]
}
