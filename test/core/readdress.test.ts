import t from 'tap'
import { type NodeReport, nextStep, type UnderWay, whyLate } from '../../src/core/readdress.js'

const row: UnderWay = {
  nodeName: 'edge-1',
  uniqueIp: '10.213.0.1',
  held: '10.213.0.1',
  jobMade: false,
  reportsUnique: false,
  settled: false,
  late: false,
}
const old: NodeReport = { name: 'edge-1', isReady: true, internalIps: ['192.168.1.10'] }
const fresh: NodeReport = { ...old, internalIps: ['10.213.0.1'] }

t.test('what comes next', async (t) => {
  const steps: [name: string, row: Partial<UnderWay>, seen: NodeReport | undefined, step: object][] = [
    ['it is Ready and reports its own', {}, old, { do: 'make job' }],
    ['it is not Ready', {}, { ...old, isReady: false }, { do: 'end', state: 'skipped' }],
    ['its job is under way', { jobMade: true }, old, { do: 'wait' }],
    ['its job has had its time', { jobMade: true, late: true }, old, { do: 'give up' }],
    ['it reports its unique IP', { jobMade: true }, fresh, { do: 'note', reportsUnique: true }],
    ['it does so late', { jobMade: true, late: true }, fresh, { do: 'note', reportsUnique: true }],
    ['it goes on doing so', { jobMade: true, reportsUnique: true, late: true }, fresh, { do: 'wait' }],
    ['it has done so for long enough', { reportsUnique: true, settled: true }, fresh, { do: 'end', state: 'done' }],
    [
      'it does so beside another',
      { reportsUnique: true, settled: true },
      { ...fresh, internalIps: ['fd00::1', '10.213.0.1'] },
      { do: 'end', state: 'done' },
    ],
    ['it no longer does, at last', { reportsUnique: true, settled: true }, old, { do: 'note', reportsUnique: false }],
    ['it is not in the cluster', {}, undefined, { do: 'end', state: 'skipped' }],
    ['it has left the cluster', { jobMade: true }, undefined, { do: 'end', state: 'failed' }],
    ['it holds nothing any more', { held: null }, old, { do: 'end', state: 'skipped' }],
    ['it lost its address meanwhile', { held: null, jobMade: true }, old, { do: 'end', state: 'failed' }],
    [
      'it has another one meanwhile',
      { held: '10.213.0.2', jobMade: true, reportsUnique: true, settled: true },
      fresh,
      { do: 'end', state: 'failed' },
    ],
  ]
  for (const [name, change, seen, step] of steps) t.match(nextStep({ ...row, ...change }, seen), step, name)
})

t.test('who is late is told what to look at, by what the job says', async (t) => {
  const late = { uniqueIp: '10.213.0.1', jobName: 'edge-ipam-1', timeoutSeconds: 120 }
  t.match(
    whyLate(late, old, undefined),
    /^After 120 s it reports 192\.168\.1\.10, not 10\.213\.0\.1\. .*gone.*taskManager/,
  )
  t.match(whyLate(late, old, {}), /controllermanager runs.*taskManager is on in cloudcore/)
  t.match(
    whyLate(late, old, { phase: 'InProgress' }),
    /taskManager is on in cloudcore and in edgecore\.yaml.*keadm and systemd/,
  )
  t.match(
    whyLate(late, old, { phase: 'Failure', node: { phase: 'Failure', action: 'BackUp', reason: 'no keadm' } }),
    /Failure, the node's part Failure, last action BackUp, no keadm\. Look at edgecore's log/,
  )
  t.match(whyLate(late, old, { phase: 'Completed' }), /modules\.edged\.nodeIP.*customInterfaceName/)
  t.match(
    whyLate(late, { ...old, isReady: false, internalIps: [] }, {}),
    /reports no InternalIP.*The node is not Ready\./,
  )
})
