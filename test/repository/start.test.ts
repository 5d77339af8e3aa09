import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { root } from './dockerfile.js'

t.test(
  'npm start says where it is in one line, the curl of it works when pasted, and SIGTERM ends it with 0',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'edge-ipam-start-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const dataDir = join(folder, 'data')
    const npm = spawn('npm', ['start'], {
      cwd: root,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', EDGE_IPAM_DATA_DIR: dataDir },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(npm, 'exit')
    t.teardown(async () => {
      npm.kill('SIGTERM')
      await exit
    })
    const ready = await new Promise<Record<string, string>>((resolve, reject) => {
      createInterface({ input: npm.stdout }).on('line', (line) => {
        if (line.startsWith('{"msg":"ready"')) resolve(JSON.parse(line))
      })
      exit.then(([code]) => reject(new Error(`it ended with ${code}`)))
    })
    t.strictSame(Object.keys(ready), ['msg', 'page', 'docs', 'dataDir', 'adminTokenFile', 'curl'])
    const { docs, adminTokenFile, curl } = ready
    t.equal(ready.dataDir, dataDir)
    t.equal(adminTokenFile, join(dataDir, 'admin-token'))
    t.equal(statSync(adminTokenFile!).mode & 0o777, 0o600)
    t.match(JSON.parse(execFileSync('sh', ['-c', curl!], { encoding: 'utf8' })), {
      nodeName: 'edge-1',
      uniqueIp: '10.213.0.1',
    })
    t.equal((await fetch(docs!)).status, 200)
    npm.kill('SIGTERM')
    t.strictSame(await exit, [0, null])
  },
)
