import t from 'tap'
import { type Gone, planReclaim } from '../../src/core/reclaim.js'

const HOUR = 3_600_000
const rules = { grace: HOUR, share: 0.1 }

function gone(nodeName: string, wish: Partial<Gone> = {}): Gone {
  return {
    nodeName,
    address: '10.0.0.1',
    sequence: 1,
    state: 'registered',
    pool: 'default',
    absentFor: HOUR,
    absences: 2,
    ...wish,
  }
}

/** The plan in names. */
function plan(all: readonly Gone[], held: Record<string, number>) {
  const { due, waiting, heldBack } = planReclaim(all, new Map(Object.entries(held)), rules)
  return { due: due.map((one) => one.nodeName), waiting: waiting.map((one) => one.nodeName), heldBack }
}

const many = (count: number, wish: Partial<Gone> = {}) =>
  Array.from({ length: count }, (_, index) => gone(`n${index}`, wish))

t.test('who is due', async (t) => {
  t.strictSame(
    plan([gone('a')], { default: 100 }),
    { due: ['a'], waiting: [], heldBack: [] },
    'gone for long, seen twice',
  )
  t.strictSame(
    plan([gone('a', { absentFor: HOUR - 1 })], { default: 100 }),
    { due: [], waiting: ['a'], heldBack: [] },
    'not before the grace period is over',
  )
  t.strictSame(
    plan([gone('a', { absences: 1, absentFor: 9 * HOUR })], { default: 100 }),
    { due: [], waiting: ['a'], heldBack: [] },
    'not by one look, however long ago',
  )
})

t.test('too much at once', async (t) => {
  t.equal(plan(many(10), { default: 100 }).due.length, 10, 'as much as the share may go')
  t.strictSame(
    plan(many(11), { default: 100 }),
    { due: [], waiting: [], heldBack: [{ pool: 'default', gone: 11, most: 10 }] },
    'of more nobody goes',
  )
  t.strictSame(
    plan([...many(10), gone('young', { absentFor: 0, absences: 1 })], { default: 100 }),
    { due: [], waiting: ['young'], heldBack: [{ pool: 'default', gone: 11, most: 10 }] },
    'those whose time has not come count, too: a cluster that vanishes does so all at once',
  )
  t.strictSame(plan([gone('a')], { default: 3 }).due, ['a'], 'one may always go, of however few')
  t.strictSame(plan(many(2), { default: 3 }).due, [], 'two of three may not')
  t.strictSame(plan(many(2), { default: 19 }).due, [], 'a share of nearly two is one')
  t.strictSame(
    plan([...many(3, { pool: 'small' }), gone('a')], { small: 4, default: 100 }).due,
    ['a'],
    'each pool is judged for itself',
  )
})
