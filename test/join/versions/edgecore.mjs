// What KubeEdge writes as edgecore.yaml, and what edgecore makes of it when it starts.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { read } from './yaml.mjs'

export const configOf = (folder) => join(folder, 'etc/kubeedge/config/edgecore.yaml')
const runningOf = (folder) => join(folder, 'state/running')

export const isRunning = (folder) => existsSync(runningOf(folder))

export function stop(folder) {
  rmSync(runningOf(folder), { force: true })
}

/** The addresses of an interface that is up, without their prefix lengths. */
function addressesOf(folder, name) {
  const path = join(folder, 'state/net', name)
  if (!existsSync(join(path, 'up'))) return []
  return readFileSync(join(path, 'addresses'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((address) => address.split('/')[0])
}

/** The host's own address, as KubeEdge finds it. */
export const hostAddress = (folder) => addressesOf(folder, 'eth0')[0]

/** Keeps what became of a start. */
export function noteStart(folder, outcome) {
  if (outcome.failed) stop(folder)
  else writeFileSync(runningOf(folder), '')
  appendFileSync(join(folder, 'state/edgecore'), `${JSON.stringify(outcome)}\n`)
}

/** Starts edgecore: notes which address it reports (null: none), or why it ended. */
export function start(folder, release) {
  const note = (outcome) => noteStart(folder, outcome)
  let config
  try {
    config = read(readFileSync(configOf(folder), 'utf8'))
  } catch (error) {
    return note({ failed: error.message })
  }
  if (config.apiVersion !== `edgecore.config.kubeedge.io/${release.config.apiVersion}`) {
    return note({ failed: `no kind "EdgeCore" is registered for version "${config.apiVersion}"` })
  }
  const { nodeIP, customInterfaceName, hostnameOverride } = config.modules.edged
  let address = nodeIP || hostAddress(folder)
  if (customInterfaceName) {
    address = addressesOf(folder, customInterfaceName)[0]
    if (!address) return note({ failed: `Failed to get IP address by custom interface ${customInterfaceName}` })
  }
  const here = readdirSync(join(folder, 'state/net')).flatMap((name) => addressesOf(folder, name))
  const refused = release.validatesNodeIp && !here.includes(address)
  note({
    node: hostnameOverride,
    reports: refused ? null : address,
    ...(refused && {
      error: `failed to validate nodeIP: node IP: "${address}" not found in the host's network interfaces`,
    }),
  })
}

/** The configuration that join makes: the parts around nodeIP, in each generation's form. */
export function defaultConfig(folder, { config, tag }, { node, cloudcore, token, labels }) {
  const host = cloudcore.split(':')[0]
  const own = config.writesHostAddress ? { nodeIP: hostAddress(folder) } : {}
  const common = { enable: true, hostnameOverride: node, registerNode: true, registerNodeNamespace: 'default', ...own }
  const edged = {
    v1alpha1: {
      ...common,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: '',
      clusterDNS: '',
      clusterDomain: '',
      labels,
      networkPluginMTU: 1500,
      nodeStatusUpdateFrequency: 10,
      podSandboxImage: 'kubeedge/pause:3.1',
      runtimeType: 'docker',
    },
    v1alpha2: {
      ...common,
      maxPerPodContainerCount: 1,
      minimumGCAge: '0s',
      nodeLabels: labels,
      registerSchedulable: true,
      tailoredKubeletConfig: {
        address: '127.0.0.1',
        cgroupDriver: 'cgroupfs',
        clusterDNS: ['169.254.96.16'],
        enforceNodeAllocatable: ['pods'],
        evictionHard: { 'imagefs.available': '15%', 'memory.available': '100Mi' },
        nodeStatusUpdateFrequency: '10s',
        staticPodPath: '/etc/kubeedge/manifests',
      },
    },
  }[config.apiVersion]
  return {
    apiVersion: `edgecore.config.kubeedge.io/${config.apiVersion}`,
    database: { aliasName: 'default', dataSource: '/var/lib/kubeedge/edgecore.db', driverName: 'sqlite3' },
    ...(/^v1\.23/.test(tag) && { edgecoreVersion: tag }),
    kind: 'EdgeCore',
    modules: {
      dbTest: { enable: false },
      deviceTwin: { enable: true },
      edgeHub: {
        enable: true,
        heartbeat: 15,
        httpServer: `https://${host}:10002`,
        quic: { enable: false, server: `${hostAddress(folder)}:10001` },
        token,
        websocket: { enable: true, server: cloudcore },
      },
      edgeStream: { enable: false, server: `${host}:10004` },
      edged,
      eventBus: {
        enable: true,
        mqttServerExternal: 'tcp://127.0.0.1:1883',
        mqttServerInternal: 'tcp://127.0.0.1:1884',
      },
      metaManager: { enable: true, metaServer: { enable: false, server: '127.0.0.1:10550' } },
      serviceBus: { enable: false, port: 9060, server: '127.0.0.1' },
    },
  }
}

/** Writes the configuration with the folders above it. */
export function save(folder, text) {
  mkdirSync(dirname(configOf(folder)), { recursive: true })
  writeFileSync(configOf(folder), text)
}
