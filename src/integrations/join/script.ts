import { readFile } from 'node:fs/promises'

/** From both `src/integrations/join` and `dist/integrations/join`. */
const FOLDER = new URL('../../../join/', import.meta.url)

/** In the order of reading. All is functions; the last line of the last part starts them. */
const PARTS = [
  'head',
  'output',
  'validation',
  'options',
  'device',
  'http',
  'service',
  'edgecore',
  'interface',
  'keadm',
  'join-device',
  'check',
  'main',
]

/** The join script, put together from its parts. A device gets one file; people read many. */
export async function readScript(): Promise<string> {
  const texts = await Promise.all(PARTS.map((part) => readFile(new URL(`${part}.sh`, FOLDER), 'utf8')))
  return texts.join('')
}
