import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { admit, type NodeAddress, readReview, rewritten } from '../../src/core/node-review.js'
import { recording } from './support.js'

t.test('every recorded review is read', async (t) => {
  for (const review of [...recording('registration'), ...recording('rewritten')]) {
    const read = readReview(review)
    t.match(read, { name: /^edge[12]$/, dryRun: false, operation: /^(CREATE|UPDATE)$/ })
    t.equal(read?.nodeUid === undefined, read?.operation === 'CREATE', 'the uid comes with the first update')
    t.same(
      read?.addresses.map(({ type }) => type),
      ['InternalIP', 'Hostname'],
    )
  }
})

t.test('nothing that can be sent as JSON is an error', async (t) => {
  const [recorded] = recording('registration')
  const paths = [
    'request',
    'request.object',
    'request.object.metadata',
    'request.object.status',
    'request.object.status.addresses',
  ]
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
      const review = structuredClone(recorded)
      const steps = path.split('.')
      const last = steps.pop()!
      steps.reduce((at, step) => at[step], review)[last] = value
      readReview(review)
      readReview(value)
    }),
  )
  t.pass()
})

const entries = fc.array(
  fc.record({
    type: fc.constantFrom('InternalIP', 'ExternalIP', 'Hostname'),
    address: fc.constantFrom<string>('10.0.0.1', '192.168.1.10', 'fd00::1', 'edge1', ''),
  }),
)

/** The addresses of a review that has these. */
function addressesOf(all: { type: string; address: string }[]): readonly NodeAddress[] {
  const review = structuredClone(recording('registration')[0])
  review.request.object.status.addresses = all
  return readReview(review)!.addresses
}

t.test('an InternalIP is the same however it is written, and none where it is no address', async (t) => {
  const read = (address: string) => addressesOf([{ type: 'InternalIP', address }])[0]?.internalIp
  t.equal(read('FD00:0:0::0010'), 'fd00::10')
  t.equal(read('edge1'), undefined)
  t.same(rewritten(addressesOf([{ type: 'InternalIP', address: 'FD77:0::1' }]), 'fd77::1'), [])
})

t.test('a rewritten list differs in one InternalIP at most, and is not rewritten again', async (t) => {
  const isInternal = ({ type, address }: { type: string; address: string }) =>
    type === 'InternalIP' && isIP(address) !== 0
  fc.assert(
    fc.property(entries, fc.constantFrom<string>('10.77.0.1', 'fd77::1'), (before, uniqueIp) => {
      const steps = rewritten(addressesOf(before), uniqueIp)
      const after = structuredClone(before)
      for (const { path, value } of steps) after[Number(path.split('/')[3])]!.address = value
      const changed = before.filter(({ address }, i) => address !== after[i]!.address)
      return (
        changed.length <= 1 &&
        changed.every(isInternal) &&
        (!before.some(isInternal) || after.some((one) => one.type === 'InternalIP' && one.address === uniqueIp)) &&
        rewritten(addressesOf(after), uniqueIp).length === 0
      )
    }),
  )
  t.pass()
})

t.test('a warning is as long as the kube-apiserver passes on, at most', async (t) => {
  t.equal(admit('uid', { warnings: ['x'.repeat(1_000)] }).response.warnings?.[0]?.length, 256)
})
