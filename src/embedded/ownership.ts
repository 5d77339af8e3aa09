import { chownSync, statSync } from 'node:fs'

/**
 * Root in somebody else's data folder: what it makes there belongs to that user, who must be able to start the service
 * afterwards. Does nothing for everybody else.
 */
export function giveToOwnerOf(folder: string, path: string): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(folder)
  if (uid !== 0) chownSync(path, uid, gid)
}
