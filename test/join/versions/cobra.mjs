// How a Go program with cobra and pflag reads its flags, and how it shows them. Kept to what keadm uses.

const HELP = { name: 'help', short: 'h', type: 'bool' }

/**
 * Reads the flags. Comes back with every value of each flag in order, the words that are no flags, and what is to be said on
 * stderr; throws the message that pflag has for what it refuses.
 */
export function parse(flags, words) {
  const known = [...flags, HELP]
  const values = Object.fromEntries(known.map(({ name }) => [name, []]))
  const rest = []
  const notices = []
  const queue = [...words]
  while (queue.length > 0) {
    const word = queue.shift()
    if (word === '--') return { values, rest: [...rest, ...queue], notices }
    if (word.startsWith('--')) long(word)
    else if (word.length > 1 && word.startsWith('-')) short(word)
    else rest.push(word)
  }
  return { values, rest, notices }

  function long(word) {
    const [, name, value] = word.match(/^--([^=]*)=?((?<==).*)?$/s)
    if (name === '' || name.startsWith('-')) throw new Error(`bad flag syntax: ${word}`)
    const flag = known.find((flag) => flag.name === name)
    if (!flag) throw new Error(`unknown flag: --${name}`)
    if (value !== undefined) take(flag, value)
    else if (flag.type === 'bool') take(flag, 'true')
    else if (queue.length > 0) take(flag, queue.shift())
    else throw new Error(`flag needs an argument: --${name}`)
  }

  function short(word) {
    for (let letters = word.slice(1); letters !== ''; ) {
      const flag = known.find((flag) => flag.short === letters[0])
      if (!flag) throw new Error(`unknown shorthand flag: '${letters[0]}' in ${word}`)
      const after = letters.slice(1)
      if (after.startsWith('=') && after.length > 1) return take(flag, after.slice(1))
      if (flag.type !== 'bool') {
        if (after === '' && queue.length === 0) throw new Error(`flag needs an argument: '${letters[0]}' in ${word}`)
        return take(flag, after === '' ? queue.shift() : after)
      }
      take(flag, 'true')
      letters = after
    }
  }

  function take(flag, value) {
    if (flag.type === 'bool' && !/^(1|0|t|f|T|F|true|false|TRUE|FALSE|True|False)$/.test(value)) {
      throw new Error(
        `invalid argument "${value}" for "--${flag.name}" flag: strconv.ParseBool: parsing "${value}": invalid syntax`,
      )
    }
    values[flag.name].push(value)
    if (flag.deprecated) notices.push(`Flag --${flag.name} has been deprecated, it has no use any more`)
  }
}

/** The usage of a command as cobra prints it: the flags by name, in two columns, without the deprecated ones. */
export function usage(command, flags, subcommands = []) {
  const shown = [...flags, { ...HELP, text: `help for ${command.split(' ').at(-1)}` }]
    .filter((flag) => !flag.deprecated)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, short, type, text = `sets ${name}`, ...flag }) => [
      `${short ? `  -${short}, ` : '      '}--${name}${type === 'bool' ? '' : ` ${type}`}`,
      `${text}${flag.default ? ` (default "${flag.default}")` : ''}`,
    ])
  const width = Math.max(...shown.map(([left]) => left.length))
  return [
    'Usage:',
    `  ${command} [flags]`,
    ...(subcommands.length > 0 ? [`  ${command} [command]`, '', 'Available Commands:'] : []),
    ...subcommands.map((name) => `  ${name}        Works on the ${name} side`),
    '',
    'Flags:',
    ...shown.map(([left, text]) => `${left.padEnd(width)}   ${text}`),
    '',
  ].join('\n')
}
