// The YAML of edgecore.yaml: what KubeEdge writes (sigs.k8s.io/yaml: keys in order, two spaces, lists not indented), and a
// reader that takes only that, so that an edit that spoils the file is noticed.

/** Writes a mapping. */
export function write(mapping, indent = '') {
  return Object.keys(mapping)
    .sort((a, b) => (a < b ? -1 : 1))
    .map((key) => entry(key, mapping[key], indent))
    .join('')
}

function entry(key, value, indent) {
  if (Array.isArray(value)) {
    return value.length === 0
      ? `${indent}${key}: []\n`
      : `${indent}${key}:\n${value.map((item) => `${indent}- ${scalar(item)}\n`).join('')}`
  }
  if (typeof value === 'object') {
    return Object.keys(value).length === 0
      ? `${indent}${key}: {}\n`
      : `${indent}${key}:\n${write(value, `${indent}  `)}`
  }
  return `${indent}${key}: ${scalar(value)}\n`
}

function scalar(value) {
  if (typeof value !== 'string') return String(value)
  return value === '' || /^[:\d.]*$|^[-?:,[\]{}#&*!|>'"%@`]|: |:$| #|^(true|false|null|yes|no|on|off)$/i.test(value)
    ? plainNumberOrText(value)
    : value
}

/** Addresses with three dots are texts without quotes, as go-yaml writes them. */
function plainNumberOrText(value) {
  return /^\d+\.\d+\.\d+\.\d+$/.test(value) ? value : JSON.stringify(value)
}

/** Reads a mapping; throws with the line's number what a YAML reader refuses, and whatever KubeEdge does not write. */
export function read(text) {
  const lines = text.split('\n').map((line, at) => ({ at: at + 1, line }))
  const queue = lines.filter(({ line }) => line.trim() !== '' && !/^\s*#/.test(line))
  const result = block(0)
  if (queue.length > 0) fail(queue[0], 'did not find expected key')
  return result

  function block(indent) {
    const mapping = {}
    while (queue.length > 0 && indentOf(queue[0]) === indent && !isItem(queue[0])) {
      const current = queue.shift()
      const match = current.line.slice(indent).match(/^([A-Za-z][\w./-]*):(?: +(.*))?$/)
      if (!match) fail(current, 'could not find expected ":"')
      const [, key, rest = ''] = match
      if (key in mapping) fail(current, `key "${key}" already set in map`)
      mapping[key] = rest.trim() === '' ? nested(indent) : value(current, rest.trim())
    }
    return mapping
  }

  function nested(indent) {
    if (queue.length === 0) return null
    if (isItem(queue[0]) && indentOf(queue[0]) >= indent) return list(indentOf(queue[0]))
    return indentOf(queue[0]) > indent ? block(indentOf(queue[0])) : null
  }

  function list(indent) {
    const items = []
    while (queue.length > 0 && indentOf(queue[0]) === indent && isItem(queue[0])) {
      const current = queue.shift()
      items.push(value(current, current.line.slice(indent + 2).trim()))
    }
    return items
  }
}

const indentOf = ({ line }) => line.match(/^ */)[0].length
const isItem = ({ line }) => /^ *- /.test(line)

function value(current, text) {
  if (current.line.includes('\t')) fail(current, 'found character that cannot start any token')
  if (text === '[]') return []
  if (text === '{}') return {}
  const quoted = text.match(/^"((?:[^"\\]|\\.)*)"(?: +#.*)?$/) ?? text.match(/^'((?:[^']|'')*)'(?: +#.*)?$/)
  if (quoted) return text.startsWith('"') ? JSON.parse(`"${quoted[1]}"`) : quoted[1].replaceAll("''", "'")
  const plain = text.replace(/ +#.*$/, '')
  if (/^[[\]{}"'&*!|>%@`]|: |:$/.test(plain)) fail(current, 'mapping values are not allowed in this context')
  if (/^(true|false)$/.test(plain)) return plain === 'true'
  return /^-?\d+$/.test(plain) ? Number(plain) : plain
}

function fail({ at }, message) {
  throw new Error(`yaml: line ${at}: ${message}`)
}
