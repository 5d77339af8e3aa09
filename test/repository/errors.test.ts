import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type ProblemCode, problems } from '../../src/core/errors.js'
import { statusOf } from '../../src/http/errors.js'
import { root } from './dockerfile.js'
import { readText } from './markdown.js'

const file = 'docs/errors.md'
const table = /(<!-- codes -->\n)[\s\S]*(<!-- end of codes -->\n)/

/** The catalogue as a table, by status. */
function tableOfCodes(): string {
  const codes = (Object.keys(problems) as ProblemCode[]).sort((a, b) => statusOf[a] - statusOf[b])
  const rows = codes.map(
    (code) => `| \`${code}\` | ${statusOf[code]} | ${problems[code].means} | ${problems[code].remedy} |`,
  )
  return ['| code | status | means | what to do |', '|---|---|---|---|', ...rows, ''].join('\n')
}

t.test(`${file} is made from the catalogue (UPDATE_GOLDEN=1 makes it anew)`, async (t) => {
  const text = readText(file)
  t.match(text, table)
  const made = text.replace(table, (_all, begin, end) => `${begin}\n${tableOfCodes()}\n${end}`)
  if (process.env.UPDATE_GOLDEN) writeFileSync(join(root, file), made)
  else t.equal(text, made)
})
