import t from 'tap'
import { startLab } from './lab.js'

t.test('a kube-apiserver comes up, and answers kubectl', async (t) => {
  const lab = await startLab(t)
  const { stdout } = await lab.kubectl(['version', '-o', 'json'])
  t.match(JSON.parse(stdout).serverVersion, { gitVersion: /^v1\.32\./ })
})
