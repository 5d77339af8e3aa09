import type { ErrorObject } from 'ajv'
import t from 'tap'
import { fieldErrors } from '../../src/http/validation.js'

t.test('of a body full of mistakes few are looked at, so that nobody can keep the process busy with one', async (t) => {
  const wrong = (number: number): ErrorObject => ({
    keyword: 'type',
    instancePath: `/labels/k${number}`,
    schemaPath: '#/labels/type',
    params: { type: 'string' },
  })
  let looked = 0
  const all = new Proxy(
    Array.from({ length: 100_000 }, (_, number) => wrong(number)),
    {
      get(target, key) {
        if (/^\d+$/.test(String(key))) looked++
        return Reflect.get(target, key)
      },
    },
  )
  for (const silent of [false, true]) {
    looked = 0
    t.equal(fieldErrors(all, 'body', silent).length, silent ? 1 : 100)
    t.ok(looked < 1_000, `${looked} of 100,000`)
  }
})
